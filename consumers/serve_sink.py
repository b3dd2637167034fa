"""`python -m consumers sink`: results into PostgreSQL and Redis."""

from functools import partial

from consumers.loop.breaker import PostgresBreakers
from consumers.loop.dead_letters import DeadLetters
from consumers.loop.handler import LoopLimits, Surroundings
from consumers.loop.loop import Loop
from consumers.loop.publish import AtLeastOnce
from consumers.loop.starting import patiently, together
from consumers.meters.account import accounts_metered
from consumers.meters.instruments import Instruments
from consumers.meters.lag import lag_metered
from consumers.sinks.postgres import GROUP, PostgresSink
from consumers.sinks.result_table import ResultTable
from radstream.broker.kafka_broker import KafkaBroker
from radstream.journal.vault import Vault
from radstream.recent import Recent
from radstream.registry import RegistryIds
from radstream.service import Health, Stop
from radstream.settings import Settings
from radstream.traces import traces_of
from schemas.codec import Codec
from schemas.topics import COMPLETED, DEAD_LETTERED

#: Rows of one database transaction at most (count).
BATCH_ROWS = 200


def serve(settings: Settings, health: Health, stop: Stop) -> None:
    """Run the group until asked to stop; raises what ends the process (OffsetUnknown)."""
    vault = Vault(settings.require_vault_key())
    ids = RegistryIds(settings.schema_registry_url)
    patiently(partial(ids.id_of, DEAD_LETTERED), "schemas", health, stop)
    broker = KafkaBroker(settings)
    table = ResultTable(settings)
    handler = PostgresSink(
        table=table, shelf=Recent(settings), codec=Codec(ids), letters=DeadLetters(GROUP, Codec(ids), vault)
    )
    around = Surroundings(
        broker=broker,
        breakers=PostgresBreakers(settings),
        instruments=Instruments(),
        health=health,
        traces=traces_of(settings, "sink"),
        limits=LoopLimits(window=2 * BATCH_ROWS, batch=BATCH_ROWS, dead_letters=settings.breaker_dead_letters),
    )
    loop = Loop(GROUP, [COMPLETED], handler, AtLeastOnce(broker.writer()), around)
    health.ready()
    try:
        with lag_metered(settings), accounts_metered(settings):
            together([partial(loop.run, stop)], stop, around.pulse)
    finally:
        table.close()
        around.traces.close()
