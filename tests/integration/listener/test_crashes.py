"""The listener is killed at each step: no acknowledged image is lost, no event stands in the log twice."""

from collections.abc import Callable

import pytest

from dicom_listener.crash_points import Step
from dicom_listener.standard.statuses import StoreStatus
from radstream.broker.kafka import producer
from schemas.topics import RECEIVED_ROUTINE, STUDY_PARTITIONS
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import film
from tests.integration.listener.raw_scu import Closed

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("step", [Step.AFTER_FSYNC, Step.AFTER_COMMIT])
def test_an_image_that_was_durable_is_in_the_log_once(step: Step, listen: Callable[..., Listening]) -> None:
    """Killed after the spool's fsync: the worker that the parent starts forwards it; a resend adds nothing.

    The first and the last of the steps; tests/crash kills at each, under load.
    """
    listening = listen(RADSTREAM_DIE_AT=step, RADSTREAM_LISTENER_PROCESSES="1")
    (killed,) = listening.service.workers()
    one = film()

    with pytest.raises(Closed):
        listening.send(one)
    listening.wait_restarted(killed)
    listening.wait_empty()

    assert len(listening.events(one)) == 1
    assert listening.send(one) == StoreStatus.SUCCESS
    assert len(listening.events(one)) == 1
    (row,) = listening.rows(one)
    assert row["state"] == "acknowledged"


def test_rubbish_in_the_log_does_not_hold_up_recovery(listen: Callable[..., Listening]) -> None:
    """Reading the log back passes by what is no event: somebody else's bytes can't keep an image in the spool."""
    listening = listen(RADSTREAM_DIE_AT=Step.AFTER_COMMIT)
    one = film()

    with pytest.raises(Closed):
        listening.send(one)
    listening.service.kill9()
    writer = producer(listening.settings)
    for partition in range(STUDY_PARTITIONS):
        writer.produce(RECEIVED_ROUTINE, b"no record", partition=partition)
    assert writer.flush(30) == 0
    listening.service.start()
    listening.wait_empty()

    assert len(listening.events(one)) == 1


def test_an_image_that_was_not_durable_is_gone_and_may_be_sent_again(listen: Callable[..., Listening]) -> None:
    """Killed before the fsync: nothing was answered, nothing is left, the resend counts."""
    listening = listen(RADSTREAM_DIE_AT=Step.BEFORE_FSYNC, RADSTREAM_LISTENER_PROCESSES="1")
    (killed,) = listening.service.workers()
    one = film()

    with pytest.raises(Closed):
        listening.send(one)
    listening.wait_restarted(killed)

    assert not listening.waiting()
    assert not listening.events(one)
    assert listening.send(one) == StoreStatus.SUCCESS
    assert len(listening.events(one)) == 1
