"""`radstream replay`: what another version would have said of a past stretch, beside what was said."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from radstream.broker.kafka_broker import KafkaBroker
from radstream.broker.stretch import begin_at, stretch_of
from radstream.commands.output import print_json, print_table, remarks
from radstream.commands.times import now, rfc3339, typed_moment
from radstream.deployments.agreement import Comparison, compare
from radstream.journal.vault import Vault
from radstream.logs import configure
from radstream.objects.stores import s3_objects
from radstream.registry import RegistryIds
from radstream.service import Health, Stop
from radstream.settings import Settings
from schemas.codec import Codec
from schemas.errors import WrongCall
from schemas.topics import RECEIVED_ROUTINE, RECEIVED_STAT
from schemas.words import Lane, Role

try:
    from consumers.decoding.decoders import Decoders
    from consumers.decoding.expired import KnowingPurges, purged_by_journal
    from consumers.inference.batches import BatchLimits
    from consumers.inference.forward import Forward
    from consumers.inference.group import InferenceGroup
    from consumers.loop.breaker import MemoryBreakers
    from consumers.loop.dead_letters import DeadLetters
    from consumers.loop.handler import LoopLimits, Surroundings
    from consumers.loop.loop import Loop
    from consumers.loop.publish import InTransaction
    from consumers.loop.replaying import Aside, Progress, StretchBroker, replay_group
    from consumers.meters.instruments import Instruments
    from consumers.models.composition import places
    from consumers.models.loaded import Assignment, LoadedModel, OneModel, load_model
    from consumers.results.heatmaps import HeatMaps, Which
except ModuleNotFoundError as error:
    raise WrongCall(
        f"`radstream replay` runs a model in this process and needs {error.name}, which is not installed: "
        "`pip install 'radstream[inference-cpu]'`"
    ) from error

TOPICS = (RECEIVED_STAT, RECEIVED_ROUTINE)
COLUMNS = ("model", "version", "n", "agreement", "changed")
_TOLD_SECONDS = 1.0
#: A replay yields to the live service on the same machine (nice value).
_NICE = 10
#: However many images fail, their results say why: nothing is rerouted, so no breaker is needed (count).
_NO_BREAKER = 10**9

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class Replay:
    """What is run again, on what."""

    begin: datetime
    end: datetime
    model: str
    version: str

    @property
    def group(self) -> str:
        """The name of its group."""
        return replay_group(self.model, self.version, self.begin, self.end)


@app.command("replay")
def show(
    *,
    begin: Annotated[str, typer.Option("--from", help="First moment in the log: 10m, 2h, 7d (ago) or RFC 3339.")],
    end: Annotated[str, typer.Option("--to", help="The moment before which it ends, written likewise.")],
    model: Annotated[str, typer.Option(help="Name of the model.")],
    version: Annotated[str, typer.Option(help="The version that answers.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Run a past stretch of the log on another version, beside the live one, and compare.

    Results go to `inference.replayed` and are shown to nobody else. Stopped, it goes on when it is called again with
    the same times (RFC 3339), model and version.
    """
    asked = Replay(_moment(begin), _moment(end), model, version)
    if not asked.begin < asked.end <= now():
        raise typer.BadParameter("--from must lie before --to, and --to not in the future")
    settings = Settings.from_environment()
    configure("replay", logging.WARNING)
    remarks.print(f"replay --from {rfc3339(asked.begin)} --to {rfc3339(asked.end)} (group {asked.group})")
    row = row_of(asked, run(settings, asked, print_json if as_json else _say))
    if as_json:
        print_json(row)
    else:
        print_table("", [row], COLUMNS)


def run(settings: Settings, asked: Replay, told: Callable[[dict[str, Any]], None]) -> Comparison:
    """Run a replay to its end and compare; raises KafkaDown, RegistryDown, ObjectStoreDown, ModelRefused, Fenced.

    1. find the stretch, and let the replay's group begin there if it never ran
    2. load the version; start the decoders
    3. the live loop, from the group's place to the stretch's end
    4. compare with what was delivered
    """
    os.nice(_NICE)
    stretch = stretch_of(settings, TOPICS, asked.begin, asked.end)
    begin_at(settings, asked.group, stretch.begin)
    package = places(settings).package(asked.model, asked.version, None)
    chosen = load_model(package, settings.engine)
    progress, stop = Progress(stretch), Stop()
    last = time.monotonic()

    def tell() -> None:
        nonlocal last
        if time.monotonic() - last >= _TOLD_SECONDS:
            last = time.monotonic()
            told({"replayed": progress.results, "of_at_most": stretch.records, **health_of(health)})

    health = Health()
    broker = StretchBroker(KafkaBroker(settings), progress, stop, tell)
    _run_loop(settings, asked, chosen, Surroundings(
        broker=broker, breakers=MemoryBreakers(), instruments=Instruments(), health=health, limits=_limits(settings)
    ), progress, stop)  # fmt: skip
    told({"replayed": progress.results, "of_at_most": stretch.records})
    return compare(settings, asked.model, asked.version, stretch, asked.begin)


def health_of(health: Health) -> dict[str, str]:
    """Say what a replay waits for, if it does."""
    held = [why for why in health.waiting.values() if why.startswith("held")]
    return {"waiting": held[0]} if held else {}


def row_of(asked: Replay, found: Comparison) -> dict[str, Any]:
    """Give a comparison the fields of INTERFACE.md; agreement to four places."""
    row = {"model": asked.model, "version": asked.version, **asdict(found)}
    return row | {"agreement": None if found.agreement is None else round(found.agreement, 4)}


def _run_loop(  # noqa: PLR0913, PLR0917 - a composition root's parts
    settings: Settings, asked: Replay, chosen: LoadedModel, around: Surroundings, progress: Progress, stop: Stop
) -> None:
    codec = Codec(RegistryIds(settings.schema_registry_url))
    decoders = Decoders(s3_objects(settings), settings.decode_workers, settings.decode_timeout_seconds)
    forward = Forward(BatchLimits(settings.batch_images))
    try:
        decoders.wait_ready()
        handler = InferenceGroup(
            name=asked.group,
            lane=Lane.ROUTINE,
            assignments=OneModel(Assignment(model=chosen, role=Role.SHADOW)),
            pool=KnowingPurges(decoders, purged_by_journal(settings)),
            forward=forward,
            heatmaps=HeatMaps(s3_objects(settings), Which.NONE),
            codec=codec,
            letters=DeadLetters(asked.group, codec, Vault(settings.require_vault_key())),
            instruments=around.instruments,
            clock=around.clock,
        )
        publisher = Aside(InTransaction(around.broker.transactional_writer(asked.group)), codec, progress)
        Loop(asked.group, TOPICS, handler, publisher, around).run(stop)
    finally:
        forward.close()
        decoders.close()


def _limits(settings: Settings) -> LoopLimits:
    return LoopLimits(window=2 * settings.batch_images, batch=settings.batch_images, dead_letters=_NO_BREAKER)


def _moment(text: str) -> datetime:
    found = typed_moment(text)
    assert found is not None  # noqa: S101 - for the type checker: the option is required
    return found


def _say(row: dict[str, Any]) -> None:
    waits = f", {row['waiting']}" if "waiting" in row else ""
    remarks.print(f"{row['replayed']} of at most {row['of_at_most']} records{waits}")
