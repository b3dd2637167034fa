"""`radstream replay` as a person calls it, on real servers, beside the live group."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from radstream.broker.topic_reader import read_to_end
from radstream.settings import Settings
from radstream.stack.site import Site
from schemas.inference_completed import InferenceCompleted
from schemas.topics import REPLAYED
from schemas.words import Lane
from tests.integration.consumers.conftest import Made
from tests.integration.consumers.films import film, films
from tests.journal_rows import enter
from tests.publishing import Sender
from tests.running import Service, until

pytestmark = pytest.mark.stack

Start = Callable[..., Service]
MODELS = Path(__file__).parents[3] / "models"
MODEL = "chest-pneumonia"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Give a folder of packages: 1.0.0, and 9.9.9, which is the same but calls every image positive."""
    shutil.copytree(MODELS / MODEL / "1.0.0", tmp_path / MODEL / "1.0.0")
    other = tmp_path / MODEL / "9.9.9"
    shutil.copytree(MODELS / MODEL / "1.0.0", other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["version"] = "9.9.9"
    manifest["threshold"]["value"] = 1e-9
    (other / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


@pytest.fixture
def replay(
    site: Site, plain_environment: dict[str, str], models: Path
) -> Callable[[datetime, datetime, str], "subprocess.Popen[str]"]:
    """Give a function that starts the command."""
    environment = plain_environment | site.environment | {"RADSTREAM_MODEL_DIR": str(models / MODEL / "1.0.0")}

    def start(begin: datetime, end: datetime, version: str) -> "subprocess.Popen[str]":
        words = ["--from", begin.isoformat(), "--to", end.isoformat(), "--model", MODEL, "--version", version]
        return subprocess.Popen(
            [sys.executable, "-m", "radstream.commands", "replay", *words, "--json"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def rows(done: "subprocess.Popen[str]") -> list[dict[str, object]]:
    """Wait for the command's end, and read what it printed."""
    output, errors = done.communicate(timeout=200)
    assert done.returncode == 0, errors
    return [json.loads(line) for line in output.splitlines()]


def replayed(sender: Sender, events: Sequence[UUID], version: str) -> list[InferenceCompleted]:
    """Read the replayed results of events."""
    found = [sender.codec.decode(one.value) for one in read_to_end(sender.settings, REPLAYED)]
    return [
        one
        for one in found
        if isinstance(one, InferenceCompleted) and one.event_id in events and one.model_version == version
    ]


def test_a_stretch_on_another_version_compared_with_what_was_said(
    service: Start, stack: Settings, sender: Sender, made: Made, replay: Callable[..., "subprocess.Popen[str]"]
) -> None:
    """Both lanes; each event once, in its own topic; the live topic is not touched; a purged image has expired."""
    service("inference")
    begin = datetime.now(UTC)
    sent = [sender.send(film(), lane).event_id for lane in (Lane.STAT, Lane.ROUTINE, Lane.ROUTINE)]
    purged = sender.send(film())
    live = made.wait([*sent, purged.event_id])
    end = datetime.now(UTC)
    enter(stack, purged, state="purged")
    sender.objects.remove(purged.object_key)
    later = sender.send(film()).event_id
    made.wait([later])
    said = {one.event_id: one.finding for one in live}

    *progress, last = rows(replay(begin, end, "9.9.9"))

    found = replayed(sender, [*sent, purged.event_id, later], "9.9.9")
    assert sorted(one.event_id for one in found) == sorted([*sent, purged.event_id])
    assert {one.event_id: one.finding for one in found if one.finding} == dict.fromkeys(sent, "PNEUMONIA")
    assert [one.reason for one in found if one.event_id == purged.event_id] == ["object_expired"]
    changed = 1 + sum(said[one] != "PNEUMONIA" for one in sent)
    assert last == {"model": MODEL, "version": "9.9.9", "n": 4, "agreement": 1 - changed / 4, "changed": changed}
    assert progress[-1]["replayed"] == 4
    assert len(made.results([*sent, purged.event_id])) == 4
    assert made.letters([*sent, purged.event_id]) == []


@pytest.mark.crash
def test_a_replay_that_is_killed_goes_on_where_it_was(
    service: Start, sender: Sender, made: Made, replay: Callable[..., "subprocess.Popen[str]"]
) -> None:
    """Each event has one replayed result after the second run; the same version agrees with itself."""
    service("inference")
    begin = datetime.now(UTC)
    sent = [sender.send(one).event_id for one in films(30)]
    made.wait(sent, seconds=120)
    end = datetime.now(UTC)
    first = replay(begin, end, "1.0.0")
    until(lambda: len(replayed(sender, sent, "1.0.0")) > 2, 120, "the replay did not begin")

    first.send_signal(signal.SIGKILL)
    first.communicate()
    before = len(replayed(sender, sent, "1.0.0"))
    last = rows(replay(begin, end, "1.0.0"))[-1]

    found = replayed(sender, sent, "1.0.0")
    assert before > 2
    assert len(found) == len({one.event_id for one in found}) == 30
    assert last == {"model": MODEL, "version": "1.0.0", "n": 30, "agreement": 1.0, "changed": 0}
