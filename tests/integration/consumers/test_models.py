"""Models change under a running process, driven by the log alone (promise 5)."""

import json
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest

from radstream.broker.kafka import last_stable_offsets, reader
from radstream.broker.topic_reader import read_to_end
from radstream.deployments.assignments import is_canary
from radstream.deployments.log import package_digest, write_deployment
from radstream.deployments.next_assignment import Parts
from radstream.stack.probes import health
from schemas.errors import DeploymentRefused
from schemas.inference_completed import InferenceCompleted
from schemas.model_deployed import ModelDeployed
from schemas.model_package import GRAPH
from schemas.topics import SHADOWED, STUDY_PARTITIONS
from schemas.words import Role
from tests.integration.consumers.conftest import Made
from tests.integration.consumers.films import films
from tests.integration.consumers.trial import Trial, answered_by, results_of
from tests.running import Service, until

pytestmark = pytest.mark.stack

Start = Callable[..., Service]


def remarks(service: Service) -> dict[str, str]:
    """Read what a ready service remarks."""
    with urlopen(f"http://127.0.0.1:{service.metrics_port}/health/ready", timeout=5) as answer:
        found: dict[str, str] = json.loads(answer.read())["remarks"]
    return found


def test_models_change_under_load_without_a_restart(service: Start, trial: Trial, made: Made) -> None:
    """A swap, a package that is refused, a rollback and a recall, under one stream and in one process.

    No image is without a result or has two, and which version answered is what the log says of its receipt.
    """
    trial.package("2.0.0", threshold=0.9)
    trial.command("deploy", trial.model, "1.0.0")
    inference = service("inference", **trial.own)
    pid = inference.pid
    with trial.stream() as sent:
        until(lambda: answered_by(made, trial, sent, "1.0.0"), 60, "1.0.0 answers nothing")
        trial.command("deploy", trial.model, "2.0.0")
        until(lambda: answered_by(made, trial, sent, "2.0.0"), 60, "2.0.0 answers nothing")

        broken = trial.package("3.0.0")
        (broken / GRAPH).write_bytes(b"no graph")
        write_deployment(
            trial.settings, trial.model, lambda past: Parts.of(past[-1]).deploy("3.0.0"),
            reason="a test", actor="a test", packages=package_digest(broken),
        )  # fmt: skip
        until(lambda: "3.0.0" in trial.past()[-1].withdrawn, 60, "3.0.0 was not refused")
        refused_at = len(sent)
        until(lambda: len(results_of(made, trial, sent)) > refused_at, 60, "the old one does not go on")
        assert health(inference.metrics_port) == ""
        assert "3.0.0 refused" in remarks(inference)["model"]

        rows = trial.command("rollback", trial.model, "--reason", "a test")
        back = trial.past()[-1]
        until(lambda: datetime.now(UTC) > back.effective_from, 30)
    until(lambda: len(results_of(made, trial, sent)) >= len(sent), 120, "results are missing")

    found = results_of(made, trial, sent)
    assert len(found) == len({one.event_id for one in found}) == len(sent)
    assert inference.pid == pid
    assert inference.running
    past = trial.past()
    swap = next(one for one in past if one.champion == "2.0.0")
    assert {one.model_version for one in found if one.received_at < swap.effective_from} == {"1.0.0"}
    between = [one for one in found if swap.effective_from <= one.received_at < back.deployed_at]
    assert {(one.model_version, one.role, one.threshold) for one in between if one.completed_at < back.deployed_at} == {
        ("2.0.0", Role.CHAMPION, 0.9)
    }
    assert {one.model_version for one in found if one.received_at >= back.effective_from} <= {"1.0.0"}
    assert [(row["version"], row["role"]) for row in rows] == [
        ("1.0.0", "champion"), ("3.0.0", "withdrawn"), ("2.0.0", "withdrawn"),
    ]  # fmt: skip

    wrong = {one.result_id: one for one in found if one.model_version == "2.0.0"}
    listed = trial.command("recall", trial.model, "--version", "2.0.0")
    assert {row["supersedes"] for row in listed} == {str(one) for one in wrong}

    def revised() -> dict[object, InferenceCompleted]:
        return {one.supersedes: one for one in results_of(made, trial, sent) if one.supersedes is not None}

    until(lambda: revised().keys() == wrong.keys(), 120, "results were not revised")
    assert all(
        (new.event_id, new.model_version, new.result_revision, new.threshold)
        == (wrong[replaced].event_id, "1.0.0", 2, 0.5)  # type: ignore[index] # its keys are those of `wrong`
        for replaced, new in revised().items()
    )
    assert trial.command("recall", trial.model, "--version", "2.0.0") == []
    assert inference.pid == pid


def test_a_canary_answers_its_studies_and_a_shadow_is_not_shown(service: Start, trial: Trial, made: Made) -> None:
    """Each study's side is its hash's; the shadow's results stand in a topic of their own, one an image."""
    client = reader(trial.settings)
    start = last_stable_offsets(client, SHADOWED, STUDY_PARTITIONS)
    client.close()
    for version in ("2.0.0", "3.0.0"):
        trial.package(version)
    trial.command("deploy", trial.model, "1.0.0")
    trial.command("canary", trial.model, "2.0.0", "--share", "0.5")
    rows = trial.command("shadow", trial.model, "3.0.0")
    until(lambda: datetime.now(UTC) > trial.past()[-1].effective_from, 30)
    service("inference", **trial.own)

    sent = [trial.sender.send(one) for one in films(30)]
    until(lambda: len(results_of(made, trial, sent)) >= len(sent), 120, "results are missing")

    found = results_of(made, trial, sent)
    assert [(row["version"], row["role"], row["share"]) for row in rows] == [
        ("1.0.0", "champion", 0.5), ("2.0.0", "canary", 0.5), ("3.0.0", "shadow", 1.0),
    ]  # fmt: skip
    assert len(found) == 30
    assert all(
        (one.model_version, one.role)
        == (
            ("2.0.0", Role.CANARY)
            if is_canary(trial.model, "2.0.0", one.study_pseudonym, 0.5)
            else ("1.0.0", Role.CHAMPION)
        )
        for one in found
    )
    assert len({one.model_version for one in found}) == 2
    unseen = [
        one
        for message in read_to_end(trial.settings, SHADOWED, start)
        if (one := made.sender.codec.decode(message.value)).model == trial.model
    ]
    assert {(one.model_version, one.role) for one in unseen} == {("3.0.0", Role.SHADOW)}
    assert sorted(one.event_id for one in unseen) == sorted(one.event_id for one in found)


def test_a_package_comes_from_the_object_store_where_no_folder_has_it(service: Start, trial: Trial, made: Made) -> None:
    """Deploying puts it there; a member elsewhere fetches and verifies it."""
    package = trial.package("2.0.0")
    trial.command("deploy", trial.model, "2.0.0")
    shutil.rmtree(package)
    shutil.rmtree(Path(trial.environment["RADSTREAM_STATE_DIR"]) / "models", ignore_errors=True)
    service("inference", **trial.own)
    until(lambda: datetime.now(UTC) > trial.past()[-1].effective_from, 30)

    sent = [trial.sender.send(one) for one in films(3)]

    until(lambda: len(results_of(made, trial, sent)) == 3, 60, "results are missing")
    assert {one.model_version for one in results_of(made, trial, sent)} == {"2.0.0"}


def test_of_two_writers_at_one_time_one_counts(trial: Trial) -> None:
    """The other one is told, and no reader ever sees its deployment."""
    trial.command("deploy", trial.model, "1.0.0")
    both = threading.Barrier(2)

    def wish(version: str, past: Sequence[ModelDeployed]) -> Parts:
        both.wait(30)
        return Parts.of(past[-1]).deploy(version)

    def write(version: str) -> bool:
        try:
            write_deployment(trial.settings, trial.model, partial(wish, version), reason="a test", actor=version)
        except DeploymentRefused:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        versions = ("2.0.0", "3.0.0")
        won = dict(zip(versions, pool.map(write, versions), strict=True))

    assert sorted(won.values()) == [False, True]
    assert [one.champion for one in trial.past()][1:] == [version for version, first in won.items() if first]


def test_what_can_not_be_deployed_changes_nothing(trial: Trial) -> None:
    """A damaged package, a version that is nowhere, a rollback without a predecessor: exit 1, and no record."""
    trial.command("deploy", trial.model, "1.0.0")
    (trial.package("2.0.0") / GRAPH).write_bytes(b"no graph")
    before = trial.past()

    for words in (
        ("deploy", trial.model, "2.0.0"),
        ("canary", trial.model, "9.9.9", "--share", "0.1"),
        ("rollback", trial.model, "--reason", "a test"),
        ("recall", trial.model, "--version", "1.0.0"),
    ):
        trial.command(*words, status=1)
    trial.command("canary", trial.model, "2.0.0", "--share", "1.5", status=2)

    assert trial.past() == before
