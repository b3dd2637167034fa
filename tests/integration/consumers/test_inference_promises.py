"""What inference promises, on real servers, whatever is killed or away (promises 2, 3 and 4); members: tests/crash."""

import os
import signal
from collections.abc import Callable
from urllib.request import urlopen

import pytest

from radstream.deadletters import letters, replay, resume
from radstream.settings import Settings
from radstream.stack.probes import health, kafka
from radstream.stack.site import Site
from radstream.stack.supervision import Supervisor
from schemas.words import Lane
from tests.integration.consumers.conftest import Made
from tests.integration.consumers.films import film, films
from tests.processes import children, command_line
from tests.proxy import wire_to
from tests.publishing import Sender, part10
from tests.running import Service, until

pytestmark = pytest.mark.stack

Start = Callable[..., Service]
JPEG_LS = "1.2.840.10008.1.2.4.80"
ROUTINE_GROUP = "inference.chest-pneumonia.routine"


def decoders(pid: int) -> list[int]:
    """List the decoders of a process: children of the one that it started to bear them."""
    nurseries = [one for one in children(pid) if b"consumers.decoding.process" in command_line(one)]
    return [decoder for nursery in nurseries for decoder in children(nursery)]


def nice(pid: int) -> int:
    """Give a process's nice value."""
    return os.getpriority(os.PRIO_PROCESS, pid)


def meter(service: Service, line: str) -> float:
    """Read one value of a service's metrics."""
    with urlopen(f"http://127.0.0.1:{service.metrics_port}/metrics", timeout=5) as answer:
        found = [text for text in answer.read().decode().splitlines() if text.startswith(line)]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


def waits_for(service: Service) -> str:
    """Read what a service waits for; empty when it is ready."""
    return str(health(service.metrics_port) or "")


def test_a_broker_killed_in_mid_stream_each_event_has_exactly_one_result(
    service: Start, site: Site, sender: Sender, made: Made
) -> None:
    """Kill -9 of Kafka with a transaction open: the group goes on, or ends with status 1 and is started again."""
    sent = {sender.send(one).event_id for one in films(200)}
    inference = service("inference")
    made.wait(sent, count=20)
    _, before, _ = Supervisor(site).states()["kafka"]

    os.kill(before, signal.SIGKILL)
    until(lambda: Supervisor(site).states()["kafka"][1] not in {0, before}, 30, "Kafka was not started again")
    until(lambda: kafka(site) == "", 60, "Kafka does not answer")

    def all_there() -> bool:
        if not inference.running:
            assert inference.exit_status == 1
            inference.start(wait=False)
        return len({one.event_id for one in made.results(sent)}) == 200

    until(all_there, 120, "results are missing")
    assert len(made.results(sent)) == 200


def test_a_killed_decoder_takes_one_image_with_it(service: Start, sender: Sender, made: Made) -> None:
    """The image that it held ends as decoder_crashed, with a dead letter; the service goes on."""
    inference = service("inference", RADSTREAM_DECODE_WORKERS="1")
    until(lambda: len(decoders(inference.pid)) == 2, 20, "two decoders")
    _, decoder = sorted(decoders(inference.pid), key=nice)  # the other is kept for STAT
    os.kill(decoder, signal.SIGSTOP)
    victim = sender.send(film(JPEG_LS)).event_id
    until(lambda: meter(inference, 'radstream_decoders_busy{stage="decode"}') == 1, 20, "no image in the decoder")
    next_one = sender.send(film()).event_id

    os.kill(decoder, signal.SIGKILL)

    results = {one.event_id: one for one in made.wait([victim, next_one])}
    assert (results[victim].reason, results[next_one].outcome) == ("decoder_crashed", "evaluated")
    assert [one.cause for one in made.letters([victim, next_one])] == ["decoder_crashed"]
    assert inference.running


def test_an_object_store_that_is_away_holds_the_lane_and_loses_nothing(
    service: Start, stack: Settings, sender: Sender, made: Made
) -> None:
    """Not ready, no dead letter, no result; when it is back everything is evaluated."""
    port = int(stack.s3_url.rpartition(":")[2])
    with wire_to(port) as wire:
        inference = service("inference", RADSTREAM_S3_URL=f"http://127.0.0.1:{wire.port}")
        wire.cut()
        sent = [sender.send(film()).event_id for _ in range(5)]
        until(lambda: "object_store_down" in waits_for(inference), 30, "the lane was not held")
        assert made.results(sent) == []

        wire.mend()
        results = made.wait(sent)

        until(lambda: waits_for(inference) == "", 10, "not ready again")
        assert [one.outcome for one in results] == ["evaluated"] * 5
        assert made.letters(sent) == []


def test_a_replay_revises_the_result(service: Start, stack: Settings, sender: Sender, made: Made) -> None:
    """What is mended and sent again ends in a higher revision under the same id; once, for that group."""
    service("inference")
    event, whole = sender.event(film(), Lane.ROUTINE)
    sender.publish(event)
    (first,) = made.wait([event.event_id])
    sender.put(event, whole)
    (letter,) = [one for one in letters(stack, cause="object_missing") if one.event_id == event.event_id]

    replay(stack, [letter.id])

    until(lambda: len(made.results([event.event_id])) > 1, 30, "no second result")
    second = made.results([event.event_id])[-1]
    assert (first.outcome, second.outcome) == ("not_evaluated", "evaluated")
    assert (second.result_id, second.result_revision) == (first.result_id, 2)


def test_the_breaker_opens_outlives_a_restart_and_is_closed_by_a_person(
    service: Start, stack: Settings, sender: Sender, made: Made
) -> None:
    """Two of four are rerouted, the third opens it; nothing more happens until `radstream dlq resume`."""
    inference = service("inference", RADSTREAM_BREAKER_DEAD_LETTERS="3", RADSTREAM_COMMIT_IMAGES="1")
    data = film(JPEG_LS)
    study = {"StudyInstanceUID": data.StudyInstanceUID}
    bad = [film(JPEG_LS, **study) for _ in range(4)]
    sent = [sender.send(one, body=part10(one)[1][:20_000]).event_id for one in bad]
    try:
        until(lambda: "breaker open" in waits_for(inference), 30, "the breaker did not open")
        assert len(made.results(sent)) == 2

        inference.restart(wait=False)
        until(lambda: "breaker open" in waits_for(inference), 30, "a restart closed the breaker")
        assert len(made.results(sent)) == 2
        assert inference.running
    finally:
        closed = resume(stack, ROUTINE_GROUP)

    assert closed
    assert len(made.wait(sent)) == 4
    until(lambda: waits_for(inference) == "", 10, "not ready again")


def test_stat_overtakes_a_backlog_of_routine(service: Start, sender: Sender, made: Made) -> None:
    """Sent last, answered before the backlog, which is answered too; the share of routine is the lanes' unit test."""
    routine = [sender.send(one).event_id for one in films(80)]
    stat = [sender.send(one, Lane.STAT).event_id for one in films(8)]
    service("inference")

    results = sorted(made.wait([*routine, *stat], seconds=90), key=lambda one: one.completed_at)

    last_stat = max(place for place, one in enumerate(results) if one.lane is Lane.STAT)
    assert last_stat < 60
    assert len(results) == 88


def test_sigterm_ends_it_in_time_and_loses_nothing(service: Start, sender: Sender, made: Made) -> None:
    """Under load: exit status 0 within ten seconds, and the next process goes on."""
    inference = service("inference")
    sent = {sender.send(one).event_id for one in films(80)}
    made.wait(sent, count=5)

    os.kill(inference.pid, signal.SIGTERM)
    assert inference.wait_exit(10) == 0
    inference.start()

    results = made.wait(sent, seconds=90)
    assert len(results) == len({one.event_id for one in results}) == 80


def test_a_second_process_of_the_same_slot_fences_the_first(service: Start, sender: Sender, made: Made) -> None:
    """The first ends with status 1, and each event still has one result."""
    first = service("inference")
    second = service("inference")
    sent = {sender.send(one).event_id for one in films(40)}

    assert first.wait_exit(30) == 1

    results = made.wait(sent, seconds=90)
    assert len(results) == len({one.event_id for one in results}) == 40
    assert second.running


def test_replays_in_a_row_have_a_revision_each(service: Start, stack: Settings, sender: Sender, made: Made) -> None:
    """Asked twice before anything is stored, and for all letters of the event at once: 2, 3, 4, each one time."""
    service("inference")
    event, _ = sender.event(film(), Lane.ROUTINE)
    sender.publish(event)
    made.wait([event.event_id])
    until(lambda: len(made.letters([event.event_id])) == 1, 20, "no letter")
    (letter,) = made.letters([event.event_id])

    replay(stack, [letter.id])
    replay(stack, [letter.id])
    until(lambda: len(made.letters([event.event_id])) == 3, 60, "a replay that fails again makes a letter of its own")
    replay(stack, [one.id for one in made.letters([event.event_id])])

    until(lambda: len(made.results([event.event_id])) == 4, 60, "not four results")
    found = made.results([event.event_id])
    assert sorted(one.result_revision for one in found) == [1, 2, 3, 4]
    assert len({one.result_id for one in found}) == 1
    until(lambda: len(made.letters([event.event_id])) == 4, 20, "no fourth letter")


def test_a_replay_is_seen_by_its_group_alone(service: Start, sender: Sender, made: Made) -> None:
    """An event that is addressed to another model's group is passed by, and the next one is answered."""
    service("inference")
    data = film()
    event, whole = sender.event(data, Lane.ROUTINE)
    sender.put(event, whole)
    sender.publish(event, {"replay-for": b"inference.another.routine", "replay-revision": b"2"})
    after = sender.send(film(StudyInstanceUID=data.StudyInstanceUID)).event_id

    made.wait([after])

    assert made.results([event.event_id]) == []
    assert made.letters([event.event_id]) == []
