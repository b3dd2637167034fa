"""What the programs that serve the bare loop's worker by another framework share: they run outside our environment."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from _bare_consumer import Worker
from _claims import claim

from radstream.settings import Settings
from schemas.instance_received import InstanceReceived


@dataclass(frozen=True, slots=True)
class Order:
    """What to serve, where and how."""

    package: Path
    port: int
    folder: Path  # for what the framework writes
    flags: Mapping[str, Any]  # the framework's own settings

    def worker(self) -> Worker:
        """Make a worker: one for each process or replica."""
        return Worker(settings(), self.package)


def order() -> Order:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("package", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("flags", type=json.loads)
    given = parser.parse_args()
    return Order(given.package, given.port, given.folder, given.flags)


@cache
def settings() -> Settings:
    """Read the environment, as our services do."""
    return Settings.from_environment()


def event_of(request: Mapping[str, Any]) -> InstanceReceived:
    """Give the event that a request's claim check stands for."""
    return claim(settings().s3_bucket, request["sha256"], request["size_bytes"], request["transfer_syntax_uid"])
