"""What Prometheus sees of the groups while images wait, while nobody reads, and when all is done."""

import os
import signal
from collections.abc import Callable
from contextlib import closing, suppress

import pytest

from radstream.lag.process import LagProcess
from radstream.settings import Settings
from schemas.errors import KafkaDown
from schemas.words import Lane
from tests.integration.consumers.conftest import Made
from tests.integration.consumers.films import film
from tests.meters import meters
from tests.proxy import wire_to
from tests.publishing import Sender
from tests.running import Service, until

pytestmark = pytest.mark.stack

Start = Callable[..., Service]
ROUTINE = {"group": "inference.chest-pneumonia.routine", "lane": "routine"}


def meter(service: Service, name: str, **labels: str) -> float | None:
    """Read one sample; None where it is not there."""
    found = meters(service, name, **labels)
    return found[0][1] if found else None


def state(service: Service) -> str | None:
    """Name the routine group's state."""
    return next((one["state"] for one, value in meters(service, "radstream_lag_state", **ROUTINE) if value), None)


def test_lag_by_lane_in_messages_in_seconds_since_receipt_and_as_a_state(
    service: Start, stack: Settings, sender: Sender, made: Made
) -> None:
    """While the object store is away three images wait, longer and longer, and the group stalls; then all is level."""
    with wire_to(int(stack.s3_url.rpartition(":")[2])) as wire:
        inference = service(
            "inference", RADSTREAM_S3_URL=f"http://127.0.0.1:{wire.port}", RADSTREAM_LAG_LOOK_SECONDS="0.5"
        )
        until(lambda: state(inference) == "OK", 60, "not level at the start")
        wire.cut()
        sent = [sender.send(film()).event_id for _ in range(3)]

        until(lambda: (meter(inference, "radstream_lag_messages", **ROUTINE) or 0) >= 3, 60, "not seen as behind")
        waited = meter(inference, "radstream_oldest_waiting_seconds", **ROUTINE)
        assert waited is not None
        until(lambda: (meter(inference, "radstream_oldest_waiting_seconds", **ROUTINE) or 0) > waited, 60, "no older")
        until(lambda: state(inference) == "STALL", 120, "a group that stands still is not STALL")

        wire.mend()
        made.wait(sent)

        until(lambda: meter(inference, "radstream_lag_messages", **ROUTINE) == 0, 60, "still behind")
        assert meter(inference, "radstream_oldest_waiting_seconds", **ROUTINE) == 0
        assert state(inference) == "OK"


def test_every_stage_of_the_service_is_measured(service: Start, sender: Sender, made: Made) -> None:
    """Each of the seven, the size of batches, the depth of queues, results by outcome and reason."""
    inference = service("inference")
    sent = [sender.send(film()).event_id, sender.send(film(Modality="CT")).event_id]
    made.wait(sent)

    stages = {one["stage"] for one, _ in meters(inference, "radstream_stage_seconds_count", lane="routine")}
    queues = {(one["queue"], one["lane"]) for one, _ in meters(inference, "radstream_queue_depth")}
    assert {"queue", "fetch", "decode", "batch", "forward", "encode", "commit"} <= stages
    assert {("forward", ""), *(("decode", str(lane)) for lane in Lane)} <= queues
    assert meter(inference, "radstream_batch_images_count", model="chest-pneumonia")
    assert meter(inference, "radstream_results_total", outcome="evaluated", lane="routine")
    assert meter(inference, "radstream_results_total", outcome="not_evaluated", reason="modality", lane="routine")


def test_a_look_at_groups_that_ends_its_process_is_made_again_by_another(stack: Settings) -> None:
    """What kills librdkafka's admin client takes a child with it and no service."""
    with closing(LagProcess(stack, looks=1, counted=10)) as watch:
        before = {one.group for one in watch.look()}
        killed = watch.pid
        os.kill(killed, signal.SIGKILL)

        def again() -> bool:
            with suppress(KafkaDown):
                return {one.group for one in watch.look()} == before
            return False

        until(again, 30, "nobody looks any more")
        assert watch.pid != killed
    with pytest.raises(KafkaDown, match="any more"):
        watch.look()
