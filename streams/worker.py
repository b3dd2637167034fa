"""A worker's life: start the app, tick, stay honest about health, stop in time."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import faust

from radstream.logs import get_log
from radstream.registry import RegistryIds
from radstream.service import Health, Stop
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.errors import KafkaDown, RadStreamError
from schemas.tick import Tick
from schemas.topics import COMPLETED, DEAD_LETTERED, PANE_UPDATED, TICK, WINDOW_EVALUATED
from streams.app import build
from streams.progress import Progress
from streams.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterable

    from faust.tables.manager import TableManager

_LOOK_SECONDS = 0.2
#: How long a counted result may wait for its panes to be sent with those of others (seconds).
_FLUSH_SECONDS = 0.5
#: SIGTERM has 10 s; the rest is the interpreter's.
_STOP_SECONDS = 8.0
_TOPICS = (COMPLETED, PANE_UPDATED, TICK, WINDOW_EVALUATED, DEAD_LETTERED)


def run(settings: Settings, health: Health, stop: Stop) -> None:
    """Run a worker until it is asked to stop; raise what keeps it from starting, KafkaDown when it can't go on."""
    asyncio.run(_run(settings, health, stop))


async def _run(settings: Settings, health: Health, stop: Stop) -> None:
    ids = RegistryIds(settings.schema_registry_url)
    progress = Progress(settings)
    await _deployed(ids, progress)
    app, shell = build(settings, Codec(ids), health)
    started = asyncio.create_task(app.start())
    ticks = asyncio.create_task(_tick(app, shell, progress, settings.tick_seconds))
    flushes = asyncio.create_task(_flush(shell))
    try:
        await _watch(app, health, stop, (ticks, flushes), started)
    finally:
        health.not_ready("stopping")
        ticks.cancel()
        flushes.cancel()
        await _stopped(app)


async def _deployed(ids: RegistryIds, progress: Progress) -> None:
    """See that registry and broker answer and know this version; raise RegistryDown, SchemaMissing, KafkaDown."""
    for topic in _TOPICS:
        ids.id_of(topic)
    await asyncio.to_thread(progress.look)


async def _watch(
    app: faust.App, health: Health, stop: Stop, always: "Iterable[asyncio.Task[None]]", started: "asyncio.Task[None]"
) -> None:
    while not stop.requested:
        if app.crashed or (started.done() and started.exception()):
            error = app.crash_reason or started.exception()
            raise KafkaDown(f"the stream ended: {type(error).__name__}") from error
        for one in always:
            if one.done():
                one.result()
        if started.done() and cast("TableManager", app.tables).recovery.completed.is_set() and not app.rebalancing:
            health.ready()
        else:
            health.not_ready("joining the group or recovering the tables")
        await asyncio.sleep(_LOOK_SECONDS)


async def _tick(app: faust.App, shell: Shell, progress: Progress, seconds: float) -> None:
    """Send a tick to each partition that this worker owns: each partition is ticked by one worker."""
    while True:
        await asyncio.sleep(seconds)
        try:
            stable, complete_until = await asyncio.to_thread(progress.look)
        except RadStreamError as error:
            if not error.retriable:
                raise
            get_log().warning("tick left out", cause=error.cause)
            continue
        watermarks = {str(partition): offset for partition, offset in stable.items()}
        owned = sorted(tp.partition for tp in app.consumer.assignment() if tp.topic == TICK)
        for partition in owned if not app.rebalancing else ():
            tick = Tick(
                tick_at=datetime.now(UTC), partition=partition, watermarks=watermarks, complete_until=complete_until
            )
            shell.send(TICK, str(partition), tick, partition)


async def _flush(shell: Shell) -> None:
    """Send the panes of what was counted, many results at a time."""
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        shell.flush()


async def _stopped(app: faust.App) -> None:
    try:
        await asyncio.wait_for(app.stop(), _STOP_SECONDS)
    except TimeoutError:
        get_log().warning("stop cut short", seconds=_STOP_SECONDS)
