"""An image that is missing, and a STAT image that is late, are seen, by the sink's meters and by the command."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from consumers.meters.account import AccountMeters, reconcile
from radstream.postgres import connect
from radstream.settings import Settings
from radstream.stack.site import Site
from schemas.instance_received import InstanceReceived
from schemas.words import Lane
from tests.integration.consumers.conftest import Made
from tests.integration.consumers.films import film
from tests.journal_rows import enter
from tests.meters import meters
from tests.publishing import Sender
from tests.running import Service, until

pytestmark = pytest.mark.stack

Start = Callable[..., Service]
STAT_GROUP = {"group": "inference.chest-pneumonia.stat", "lane": "stat"}
LONG_AGO = timedelta(minutes=10)


@pytest.fixture
def reconcile_json(site: Site, plain_environment: dict[str, str]) -> Callable[[], "subprocess.CompletedProcess[str]"]:
    """Give a function that runs `radstream reconcile --json`."""

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "radstream.commands", "reconcile", "--json"],
            env=plain_environment | site.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def ae() -> str:
    """Give a calling AE of this test alone."""
    return f"AE{uuid4().hex[:10].upper()}"


def fates(settings: Settings, ae: str) -> dict[str, float]:
    """Count as the sink does, and read one AE's meters."""
    registry = CollectorRegistry()
    reconcile(settings, AccountMeters(registry))
    names = ("acknowledged", "evaluated", "not_evaluated", "waiting", "missing")
    found = {fate: registry.get_sample_value("radstream_images", {"ae": ae, "fate": fate}) for fate in names}
    return {fate: value for fate, value in found.items() if value}


def stored(settings: Settings, event: InstanceReceived) -> bool:
    """Say whether the sink has a row of an event."""
    with closing(connect(settings)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM inference_results WHERE event_id = %s", (str(event.event_id),))
        return cursor.fetchone() is not None


def test_a_result_that_is_gone_is_missing_in_the_meters_and_in_the_command(
    service: Start,
    stack: Settings,
    made: Made,
    ae: str,
    reconcile_json: Callable[[], "subprocess.CompletedProcess[str]"],
) -> None:
    """Two images are in order; then one's row is taken away."""
    service("inference")
    service("sink")
    kept, lost = made.sender.send(film()), made.sender.send(film(Modality="CT"))
    made.wait([kept.event_id, lost.event_id])
    until(lambda: stored(stack, kept) and stored(stack, lost), 60, "not in the table")
    enter(stack, kept, lost, ae=ae, at=datetime.now(UTC) - LONG_AGO)
    assert fates(stack, ae) == {"acknowledged": 2, "evaluated": 1, "not_evaluated": 1}

    with closing(connect(stack)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM inference_results WHERE event_id = %s", (str(lost.event_id),))
    done = reconcile_json()

    rows = {row["ae"]: row for row in map(json.loads, done.stdout.splitlines())}
    until(lambda: fates(stack, ae) == {"acknowledged": 2, "evaluated": 1, "missing": 1}, 60, "not seen as missing")
    assert done.returncode == 1
    assert rows[ae] == {"ae": ae, "acknowledged": 2, "evaluated": 1, "not_evaluated": 0, "waiting": 0, "missing": 1}


def test_a_stat_image_that_waits_is_overdue_and_not_missing(
    service: Start, stack: Settings, sender: Sender, made: Made, ae: str
) -> None:
    """While its group does not run; the sink says it on its own timer. When it runs again, all is evaluated."""
    late = service("inference")
    late.stop()
    sink = service(
        "sink",
        RADSTREAM_RECONCILE_SECONDS="1",
        RADSTREAM_STAT_RESULT_SECONDS="2",
        RADSTREAM_LAG_LOOK_SECONDS="0.5",
    )
    before = overdue(sink)

    waiting = sender.send(film(), Lane.STAT)
    enter(stack, waiting, ae=ae)

    until(lambda: overdue(sink) > before, 60, "not seen as overdue")
    assert fates(stack, ae) == {"acknowledged": 1, "waiting": 1}
    until(lambda: meters(sink, "radstream_lag_state", **STAT_GROUP, state="STOP")[0][1] == 1, 60, "not seen as stopped")
    counted = overdue(sink)
    late.start()
    made.wait([waiting.event_id])
    until(lambda: overdue(sink) < counted, 60, "still overdue")
    assert fates(stack, ae) == {"acknowledged": 1, "evaluated": 1}


def overdue(sink: Service) -> float:
    """Read the sink's meter, once it has counted."""
    found: list[float] = []

    def read() -> bool:
        found[:] = [value for _, value in meters(sink, "radstream_stat_overdue_images")]
        return bool(found)

    until(read, 60, "the sink has not counted")
    return found[0]
