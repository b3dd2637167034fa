"""What a version leaves behind when it is taken back: an ensemble's results, and what it had given up."""

import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from radstream.deadletters import letters, replay
from radstream.deployments.log import package_digest, write_deployment
from radstream.deployments.next_assignment import Parts
from radstream.postgres import connect
from radstream.settings import Settings
from schemas.inference_completed import InferenceCompleted
from schemas.model_package import GRAPH
from schemas.words import Lane, ReviewReason, Role
from tests.integration.consumers.conftest import Made
from tests.integration.consumers.films import film
from tests.integration.consumers.trial import Trial, answered_by, results_of
from tests.running import Service, until

pytestmark = pytest.mark.stack

Start = Callable[..., Service]


def test_an_ensemble_is_deployed_rolled_back_and_recalled_as_any_version(
    service: Start, trial: Trial, made: Made
) -> None:
    """Under one stream, in one process: each image has one result, and the ensemble's are revised by the one before.

    Its members are 1.0.0 (threshold 0.5) and the same network that finds every film positive: they disagree below 0.5.
    """
    trial.package("2.0.0", threshold=1e-9)
    trial.command("deploy", trial.model, "1.0.0")
    (row,) = trial.command("ensemble", trial.model, "--member", "1.0.0", "--member", "2.0.0", "--threshold", "0.4")
    version = row["version"]
    inference = service("inference", **trial.own)
    with trial.stream() as sent:
        until(lambda: answered_by(made, trial, sent, "1.0.0"), 60, "1.0.0 answers nothing")
        trial.command("deploy", trial.model, version)
        until(lambda: answered_by(made, trial, sent, version), 60, "the ensemble answers nothing")
        trial.command("rollback", trial.model, "--reason", "a test")
        back = trial.past()[-1]
        until(lambda: datetime.now(UTC) > back.effective_from, 30)
    until(lambda: len(results_of(made, trial, sent)) >= len(sent), 120, "results are missing")

    found = results_of(made, trial, sent)
    assert len(found) == len({one.event_id for one in found}) == len(sent)
    theirs = {one.result_id: one for one in found if one.model_version == version}
    assert {one.role for one in theirs.values()} == {Role.CHAMPION}
    for one in theirs.values():
        assert one.probabilities is not None
        positive = one.probabilities["PNEUMONIA"]
        assert (one.threshold, one.finding) == (0.4, "PNEUMONIA" if positive >= 0.4 else "NORMAL")
        assert one.disagreement == pytest.approx(0, abs=1e-6)
        assert (ReviewReason.MEMBERS_DISAGREE in one.review_reasons) == (positive < 0.5)

    trial.command("recall", trial.model, "--version", version)

    def revised() -> dict[object, InferenceCompleted]:
        return {one.supersedes: one for one in results_of(made, trial, sent) if one.supersedes is not None}

    until(lambda: revised().keys() == theirs.keys(), 120, "results were not revised")
    assert {(one.model_version, one.result_revision, one.disagreement) for one in revised().values()} == {
        ("1.0.0", 2, None)
    }
    assert inference.running


def test_an_ensemble_is_as_good_as_its_members(service: Start, trial: Trial, made: Made) -> None:
    """Fetched with its members where no folder has them; one with a damaged member is refused, the old one goes on."""
    for version in ("2.0.0", "3.0.0"):
        trial.package(version, threshold=0.2)
    trial.command("deploy", trial.model, "1.0.0")
    good, bad = (
        trial.command("ensemble", trial.model, "--member", "1.0.0", "--member", other, "--threshold", "0.4")[0][
            "version"
        ]
        for other in ("2.0.0", "3.0.0")
    )
    trial.command("deploy", trial.model, good)
    for gone in (good, "2.0.0"):
        shutil.rmtree(trial.root / trial.model / gone)
    shutil.rmtree(Path(trial.environment["RADSTREAM_STATE_DIR"]) / "models", ignore_errors=True)
    (trial.root / trial.model / "3.0.0" / GRAPH).write_bytes(b"damaged")
    service("inference", **trial.own)
    until(lambda: datetime.now(UTC) > trial.past()[-1].effective_from, 30)
    first = trial.sender.send(film())
    until(lambda: answered_by(made, trial, [first], good), 60, "the ensemble answers nothing")

    trial.command("deploy", trial.model, bad, status=1)
    write_deployment(
        trial.settings, trial.model, lambda past: Parts.of(past[-1]).deploy(bad),
        reason="a test", actor="a test", packages=package_digest(trial.root / trial.model / bad),
    )  # fmt: skip
    until(lambda: bad in trial.past()[-1].withdrawn, 60, "it was not refused")

    second = trial.sender.send(film())
    until(lambda: answered_by(made, trial, [second], good), 60, "the old one does not go on")


def test_a_replay_after_a_rollback_takes_the_place_of_what_the_withdrawn_version_gave_up(
    service: Start, trial: Trial, made: Made
) -> None:
    """Its image was missing, the version is withdrawn, the image comes: one result is visible, its successor's."""
    trial.package("2.0.0", threshold=0.9)
    trial.command("deploy", trial.model, "1.0.0")
    trial.command("deploy", trial.model, "2.0.0")
    until(lambda: datetime.now(UTC) > trial.past()[-1].effective_from, 30)
    group = f"inference.{trial.model}.routine"
    service("inference", **trial.own)
    service("sink")
    event, whole = trial.sender.event(film(), Lane.ROUTINE)
    trial.sender.publish(event)
    until(lambda: answered_by(made, trial, [event], "2.0.0"), 60, "2.0.0 gave nothing up")
    (first,) = results_of(made, trial, [event])
    until(lambda: shown(trial.settings, first) == [first.result_id], 60, "it is not shown")

    trial.command("rollback", trial.model, "--reason", "a test")
    until(lambda: datetime.now(UTC) > trial.past()[-1].effective_from, 30)
    later = trial.sender.send(film())
    until(lambda: answered_by(made, trial, [later], "1.0.0"), 60, "the rollback was not read")
    trial.sender.put(event, whole)
    ours = [one for one in letters(trial.settings, cause="object_missing") if one.group == group]
    replay(trial.settings, [one.id for one in ours])

    until(lambda: answered_by(made, trial, [event], "1.0.0"), 60, "nobody took its place")
    second = results_of(made, trial, [event])[-1]
    assert [one.event_id for one in ours] == [event.event_id]
    assert (first.outcome, first.reason) == ("not_evaluated", "object_missing")
    assert (second.outcome, second.supersedes, second.result_revision) == ("evaluated", first.result_id, 2)
    until(lambda: shown(trial.settings, first) == [second.result_id], 60, "the withdrawn version's result is shown")


def shown(settings: Settings, one: InferenceCompleted) -> list[UUID]:
    """Name the results of its image and model that the view `results` shows."""
    with closing(connect(settings)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT result_id::text FROM results JOIN inference_results USING (result_id) "
            "WHERE inference_results.event_id = %s AND inference_results.model = %s",
            (str(one.event_id), one.model),
        )
        return [UUID(name) for (name,) in cursor.fetchall()]
