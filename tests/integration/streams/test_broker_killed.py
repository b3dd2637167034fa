"""A worker outlives its broker, or ends as a service ends: an admin client would abort it (librdkafka#4605)."""

import os
import signal
from collections.abc import Callable

import pytest

from radstream.settings import Settings
from radstream.stack.probes import kafka
from radstream.stack.site import Site
from radstream.stack.supervision import Supervisor
from tests.integration.streams import log
from tests.running import Service, until

pytestmark = [pytest.mark.stack, pytest.mark.crash]


def test_a_worker_is_never_aborted_when_its_broker_is_killed(
    stack: Settings, site: Site, service: Callable[..., Service]
) -> None:
    """Three times: it goes on, or ends with status 1 and is started again; each result is counted once."""
    model = log.fresh_model()
    worker = service("streams", RADSTREAM_TICK_SECONDS="0.2")

    for number in range(3):
        log.Inference(stack).commit(log.results(model, 20, first=20 * number))
        until(lambda count=20 * (number + 1): log.counted(stack, model) >= count, 90, "results are not counted")
        _, before, _ = Supervisor(site).states()["kafka"]
        os.kill(before, signal.SIGKILL)
        until(lambda pid=before: Supervisor(site).states()["kafka"][1] not in {0, pid}, 30, "Kafka was not started")
        until(lambda: kafka(site) == "", 60, "Kafka does not answer")
        if not worker.running:
            assert worker.exit_status == 1
            worker.start()

    log.Inference(stack).commit(log.results(model, 20, first=60))
    until(lambda: log.counted(stack, model) >= 80, 90, "results are not counted")
    assert log.counted(stack, model) == 80
