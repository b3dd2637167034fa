"""A model of a test's own, on real servers: its packages, its deployments, its stream of images."""

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from typer.testing import CliRunner

from radstream.commands.model import app
from radstream.deployments.log import read_history
from radstream.settings import Settings
from schemas.errors import RadStreamError
from schemas.inference_completed import InferenceCompleted
from schemas.instance_received import InstanceReceived
from schemas.model_deployed import ModelDeployed
from schemas.model_package import MANIFEST
from tests.integration.consumers.films import films
from tests.publishing import Sender

if TYPE_CHECKING:
    from tests.integration.consumers.conftest import Made

SHIPPED = Path("models/chest-pneumonia/1.0.0")


@dataclass(slots=True)
class Trial:
    """A model of its own, so that no other test's group or deployment is touched."""

    settings: Settings
    environment: dict[str, str]
    sender: Sender
    root: Path
    model: str = field(default_factory=lambda: f"trial-{uuid4().hex[:8]}")

    def package(self, version: str, threshold: float = 0.5) -> Path:
        """Make a package that differs from the shipped one in name, version and threshold."""
        folder = self.root / self.model / version
        shutil.copytree(SHIPPED, folder)
        described = json.loads((folder / MANIFEST).read_bytes())
        described |= {"name": self.model, "version": version}
        described["threshold"]["value"] = threshold
        (folder / MANIFEST).write_text(json.dumps(described))
        return folder

    @property
    def own(self) -> dict[str, str]:
        """The settings of a process that serves it."""
        return {"RADSTREAM_MODEL_DIR": str(self.root / self.model / "1.0.0")}

    def command(self, *words: str, status: int = 0) -> list[dict[str, Any]]:
        """Run `radstream model ...` in this process; give what it prints with `--json`."""
        done = CliRunner().invoke(app, [*words, "--json"], env=self.environment | self.own)
        assert done.exit_code == status, done.output
        assert status != 1 or isinstance(done.exception, RadStreamError)
        return [json.loads(line) for line in done.stdout.splitlines() if status == 0]

    def past(self) -> tuple[ModelDeployed, ...]:
        """Read its assignments."""
        return read_history(self.settings, self.model)

    @contextmanager
    def stream(self) -> Iterator[list[InstanceReceived]]:
        """Send an image a tenth of a second while the block runs; give the events so far."""
        sent: list[InstanceReceived] = []
        over = threading.Event()

        def run() -> None:
            for one in films(2000):
                if over.wait(0.1):
                    return
                sent.append(self.sender.send(one))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield sent
        finally:
            over.set()
            thread.join()


def results_of(made: "Made", trial: Trial, sent: list[InstanceReceived]) -> list[InferenceCompleted]:
    """Give the trial's results, as often as they stand in the log."""
    return [one for one in made.results({event.event_id for event in sent}) if one.model == trial.model]


def answered_by(made: "Made", trial: Trial, sent: list[InstanceReceived], version: str) -> bool:
    """Say whether a version answered something."""
    return any(one.model_version == version for one in results_of(made, trial, sent))
