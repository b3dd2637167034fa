"""Groups looked at from a process of its own, for services that must outlive their broker.

librdkafka's admin client aborts its whole process when requests about groups are under way and the broker goes
(`rd_kafka_enq_once_del_source_return: Assertion`; librdkafka#4605, open in 2.16): a kill -9 of Kafka ended every
member of a group. Here it ends a child, which the next look starts again.

`python -m radstream.lag.process LOOKS COUNTED` answers each line of its input, a JSON list of groups, by a line.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

from radstream.broker.group_offsets import Groups
from radstream.lag.lag import GroupLag, LagWatch
from radstream.lag.rules import LagState
from radstream.settings import Settings, process_environment
from schemas.errors import KafkaDown, Unavailable


class LagProcess:
    """A LagWatch in a child process. One thread looks; `close` may come from any."""

    def __init__(self, settings: Settings, looks: int, counted: int) -> None:
        self._environment = process_environment() | {"RADSTREAM_KAFKA_BOOTSTRAP": settings.kafka_bootstrap}
        self._words = ["-m", "radstream.lag.process", str(looks), str(counted)]
        self._child: subprocess.Popen[str] | None = None
        self._closed = False
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """The child's process id, 0 while there is none."""
        return self._child.pid if self._child else 0

    def look(self, names: Sequence[str] = ()) -> list[GroupLag]:
        """Look at groups, without names at all of ours; raise KafkaDown."""
        child = self._running()
        try:
            assert child.stdin is not None  # noqa: S101 - as it was started
            assert child.stdout is not None  # noqa: S101 - as it was started
            child.stdin.write(json.dumps(list(names)) + "\n")
            child.stdin.flush()
            answer = child.stdout.readline()
        except (OSError, ValueError) as error:  # a pipe that is broken, or closed by `close`
            raise KafkaDown("whoever looks at groups ended with the broker") from error
        if not answer:
            raise KafkaDown("whoever looks at groups ended with the broker")
        found = json.loads(answer)
        if isinstance(found, str):
            raise KafkaDown(found)
        return [GroupLag(**{**one, "state": LagState(one["state"])}) for one in found]

    def close(self) -> None:
        """End the child; a look that waits for it raises KafkaDown."""
        with self._lock:
            self._closed = True
            self._end()

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            for pipe in (self._child.stdin, self._child.stdout):
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()
            self._child.wait()

    def _running(self) -> subprocess.Popen[str]:
        """Give the child, which ends when its input does: with this process, however that ends."""
        with self._lock:
            if self._closed:
                raise KafkaDown("nobody looks at groups any more")
            if self._child is None or self._child.poll() is not None:
                self._end()
                self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    [sys.executable, *self._words],
                    env=self._environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            return self._child


def main(looks: int, counted: int) -> None:
    """Answer until the input ends."""
    groups = Groups(Settings.from_environment())
    watch = LagWatch(groups, looks, counted)
    for line in sys.stdin:
        try:
            found: object = [asdict(one) for one in watch.look(json.loads(line) or groups.names(), time.monotonic())]
        except Unavailable as error:
            found = str(error)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
