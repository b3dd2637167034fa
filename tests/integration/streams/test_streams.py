"""The streams on the real broker: each committed result is in its windows once, whatever is killed."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from uuid import uuid4

import pytest

from radstream.deployments.log import write_deployment
from radstream.deployments.next_assignment import Parts
from radstream.objects.stores import s3_objects
from radstream.settings import Settings
from radstream.windows import all_windows, latest_windows
from schemas.identity import dead_letter_id
from schemas.model_package import MANIFEST, REFERENCE, package_key
from schemas.topics import COMPLETED
from schemas.window_evaluated import WindowEvaluated
from tests.integration.streams import log
from tests.running import Service, until

pytestmark = pytest.mark.stack

Begin = Callable[..., Service]
TICK = {"RADSTREAM_TICK_SECONDS": "0.5"}
#: A dead member is missed after the session timeout of 15 s, and its partitions are recovered elsewhere.
TAKEN_OVER_SECONDS = 60.0
FIVE_MINUTES = 300  # seconds


def in_windows(stack: Settings, model: str, count: int, seconds: float = 30.0) -> None:
    """Wait until a model's windows hold a number of results."""
    until(lambda: log.counted(stack, model) >= count, seconds, f"{log.counted(stack, model)} of {count} are counted")


def settled(stack: Settings, model: str, count: int) -> None:
    """Wait for a number of results, then for a later result, and see that the number is still the same."""
    in_windows(stack, model, count, TAKEN_OVER_SECONDS)
    later = log.fresh_model()
    log.Inference(stack).commit(log.results(later, 40))
    in_windows(stack, later, 40, TAKEN_OVER_SECONDS)
    assert log.counted(stack, model) == count


def test_an_aborted_transaction_is_never_counted(stack: Settings, service: Begin) -> None:
    """Results of an aborted transaction are in the log, and in no window."""
    model, inference = log.fresh_model(), log.Inference(stack)
    service("streams", **TICK)

    for number in range(10):
        inference.commit(log.results(model, 4, first=10 * number))
        inference.abort(log.results(model, 6, first=10 * number + 4))

    settled(stack, model, 40)


def test_commits_reach_the_end_of_a_transactional_topic(stack: Settings, service: Begin) -> None:
    """Markers and aborted records leave gaps of offsets; commits cross them, so a restart reads nothing again."""
    model, inference = log.fresh_model(), log.Inference(stack)
    service("streams", **TICK)

    for number in range(20):
        inference.abort(log.results(model, 3))
        inference.commit(log.results(model, 20, first=20 * number))

    # The last marker of each partition stands behind the last record.
    until(lambda: all(log.committed(stack)[one] >= end - 1 for one, end in log.ends(stack).items()))


def test_two_workers_count_exactly_when_one_is_killed(stack: Settings, service: Begin) -> None:
    """Two workers share four partitions; one is killed in the middle and started again: each result counts once."""
    model, inference = log.fresh_model(), log.Inference(stack)
    one, two = service("streams", **TICK), service("streams", **TICK)
    inference.commit(log.results(model, 200))
    in_windows(stack, model, 1)
    killed = two.pid

    inference.commit(log.results(model, 200, first=200))
    two.kill9()
    inference.commit(log.results(model, 200, first=400))
    two.start()
    inference.commit(log.results(model, 200, first=600))

    settled(stack, model, 800)
    assert two.pid != killed
    assert one.running


def test_a_worker_killed_twice_counts_exactly(stack: Settings, service: Begin) -> None:
    """The state comes back from the changelog: nothing is lost or counted twice, and revisions go on rising."""
    model, inference = log.fresh_model(), log.Inference(stack)
    worker = service("streams", **TICK)
    pids, revisions = [worker.pid], [0]

    for number in range(2):
        inference.commit(log.results(model, 100, first=200 * number))
        in_windows(stack, model, 200 * number + 1, TAKEN_OVER_SECONDS)
        inference.commit(log.results(model, 100, first=200 * number + 100))
        worker.kill9()
        pids.append(worker.start().pid)
        revisions.append(log.revision(stack, model))

    settled(stack, model, 400)
    revisions.append(log.revision(stack, model))
    assert len(set(pids)) == 3
    assert revisions == sorted(revisions)
    assert revisions[0] < revisions[1] < revisions[-1]


def test_an_undecodable_record_is_dead_lettered_and_the_stream_goes_on(stack: Settings, service: Begin) -> None:
    """Bytes that are no record go to the dead letters, sealed, with their place; the next result counts."""
    model, inference = log.fresh_model(), log.Inference(stack)
    mark = uuid4().bytes
    service("streams", **TICK)

    offsets = [inference.rubbish(value) for value in (b"\x00\x00\x00\x00\x03" + mark, mark)]
    inference.commit(log.results(model, 40))

    in_windows(stack, model, 40)
    ids = [dead_letter_id("streams", COMPLETED, 0, offset) for offset in offsets]
    # Letters and panes go to different topics: the broker may have taken either first.
    until(lambda: set(ids) <= set(log.dead_letters(stack)), otherwise="dead letters are missing")
    letters = log.dead_letters(stack)
    ours = [letters[one] for one in ids]
    assert [(one.cause, one.offset) for one in ours] == [("undecodable_message", offset) for offset in offsets]
    assert all(one.encrypted and mark not in one.original for one in ours)


def test_a_window_closes_and_a_late_result_revises_it(stack: Settings, service: Begin) -> None:
    """Past its end and the grace a window is closed; a result of the same minutes revises it under the same id.

    One that comes more than 7 days after its receipt changes no window of then: it is counted as late today.
    """
    model, inference = log.fresh_model(), log.Inference(stack)
    minutes_ago = datetime.now(UTC).timestamp() - 1200
    start = datetime.fromtimestamp(minutes_ago // FIVE_MINUTES * FIVE_MINUTES, UTC)
    received_at = start + timedelta(seconds=30)
    service("streams", **TICK)

    def stated(n: int) -> WindowEvaluated | None:
        found = log.window(stack, model, start, FIVE_MINUTES)
        return found if found is not None and found.closed and found.n == n else None

    inference.commit(log.results(model, 10, received_at=received_at))
    until(lambda: stated(10) is not None, 60, "the window does not close")
    closed = stated(10)
    inference.commit(log.results(model, 3, first=10, received_at=received_at))
    until(lambda: stated(13) is not None, 60, "the late results are not counted")
    revised = stated(13)
    inference.commit(log.results(model, 2, first=13, received_at=received_at - timedelta(days=8)))
    until(lambda: any(one.late == 2 for one in all_windows(stack, model)), 60, "the too late are not noticed")

    assert closed is not None
    assert revised is not None
    assert revised.window_id == closed.window_id
    assert revised.revision > closed.revision
    assert stated(13) == revised
    assert all(one.window_start > start - timedelta(days=2) for one in all_windows(stack, model))


def test_a_worker_stops_in_time_and_another_goes_on(stack: Settings, service: Begin) -> None:
    """SIGTERM ends a worker with status 0 within 10 s; what it had committed is not read again."""
    model, inference = log.fresh_model(), log.Inference(stack)
    worker = service("streams", **TICK)
    inference.commit(log.results(model, 50))
    in_windows(stack, model, 50)

    status = worker.stop()

    worker.start()
    assert status == 0
    settled(stack, model, 50)


def test_current_windows_are_read_by_model(stack: Settings, service: Begin) -> None:
    """`radstream drift` shows each slice's current window of each length, in its newest revision."""
    model, inference = log.fresh_model(), log.Inference(stack)
    service("streams", **TICK)
    inference.commit(log.results(model, 5))
    in_windows(stack, model, 5)
    inference.commit(log.results(model, 5, first=5))
    in_windows(stack, model, 10)

    windows = latest_windows(stack, model)

    assert {window.model for window in windows} == {model}
    assert {(window.slice, window.window_seconds) for window in windows} == {
        (name, seconds) for name in ("all", "site=north", "manufacturer=acme") for seconds in (300, 3600, 86400)
    }


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"RADSTREAM_KAFKA_BOOTSTRAP": "127.0.0.1:1"}, "RADSTREAM_KAFKA_BOOTSTRAP"),
        ({"RADSTREAM_SCHEMA_REGISTRY_URL": "http://127.0.0.1:1"}, "RADSTREAM_SCHEMA_REGISTRY_URL"),
        ({"RADSTREAM_TICK_SECONDS": "soon"}, "RADSTREAM_TICK_SECONDS"),
    ],
    ids=["kafka down", "registry down", "bad setting"],
)
def test_what_keeps_a_worker_from_starting_is_one_line(service: Begin, wrong: dict[str, str], named: str) -> None:
    """Exit status 1, and a line that names the setting; no traceback."""
    worker = service("streams", wait=False, **wrong)

    assert worker.wait_exit(30) == 1
    assert [line for line in worker.tail().splitlines() if not line.startswith("{")] == [worker.tail(1)]
    assert named in worker.tail(1)
    assert "Traceback" not in worker.tail()


def test_windows_are_compared_with_the_package_that_was_deployed(stack: Settings, service: Begin) -> None:
    """It lies in the object store alone: its edges and its histogram count, read again after a restart."""
    model = log.fresh_model()
    reference = b'{"features": {"score": {"edges": [0, 0.7, 0.8, 1], "counts": [0, 0, 10, 0, 0, 0]}}}'
    manifest = json.dumps({"classes": ["NORMAL"], "files": {REFERENCE: sha256(reference).hexdigest()}}).encode()
    for name, content in ((REFERENCE, reference), (MANIFEST, manifest)):
        s3_objects(stack).put(package_key(model, "1.0.0", name), BytesIO(content), len(content))
    write_deployment(
        stack, model, lambda _past: Parts(champion="1.0.0"), reason="a test", actor="a test",
        packages={"1.0.0": sha256(manifest).hexdigest()},
    )  # fmt: skip
    inference, worker = log.Inference(stack), service("streams", **TICK)

    for number in range(2):
        inference.commit(log.results(model, 8, first=8 * number))
        in_windows(stack, model, 8 * (number + 1), TAKEN_OVER_SECONDS)
        day = next(one for one in all_windows(stack, model) if one.slice == "all" and one.window_seconds == 86400)
        assert (day.statistics["score_mean"], day.statistics["score_ks"]) == (pytest.approx(0.75), 0)
        worker.stop()
        worker.start()
