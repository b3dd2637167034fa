"""The composition root of stage 1: one process that receives, forwards and answers."""

import threading
from functools import partial

from pynetdicom import evt

from dicom_listener.commitment_parts import commitment_parts
from dicom_listener.contexts import STANDARD_SYNTAXES
from dicom_listener.crash_points import CrashPoints
from dicom_listener.forwarder import Forwarder, Ways
from dicom_listener.publisher import TOPIC_OF, Publisher
from dicom_listener.reception import Reception
from dicom_listener.routes import read_routes
from dicom_listener.server import Listener
from dicom_listener.terms import Terms
from radstream.journal import pseudonyms_of
from radstream.journal_writer import Journal
from radstream.objects import s3_objects
from radstream.postgres import connect
from radstream.registry import RegistryIds
from radstream.service import Health, Stop
from radstream.settings import Settings
from radstream.spool import Spool
from radstream.vault import Vault
from schemas.codec import Codec, SchemaIds
from schemas.errors import SchemaMissing, Unavailable

SERVICE = "dicom_listener"
_IN_HAND_SECONDS = 6.0
_FORWARDING_SECONDS = 2.5
_SCHEMA_RETRY_SECONDS = 1.0
_WATCH_SECONDS = 0.2


def run(settings: Settings, health: Health, stop: Stop) -> None:
    """Listen until asked to stop.

    1. adopt the slot's spool
    2. forward what it holds, in the background
    3. bind the port: ready
    4. on the request to stop: accept nothing new, answer what is in hand, end the batch in hand
    """
    crash_points = CrashPoints(settings.die_at, settings.spool / f"died-at-{settings.die_at}")
    pseudonyms = pseudonyms_of(settings)
    vault = Vault(settings.require_vault_key())
    terms = Terms(
        policy=settings.ack_policy,
        deadline_seconds=settings.ack_deadline_seconds,
        shed_percent=settings.spool_shed_percent,
        refuse_percent=settings.spool_refuse_percent,
        routes=read_routes(settings.routes),
        lenient_syntaxes=STANDARD_SYNTAXES if settings.accept_unknown_syntaxes else None,
    )
    spool = Spool(settings.spool, settings.listener_slot)
    journal = Journal(partial(connect, settings, SERVICE), vault, pseudonyms, settings.listener_slot)
    ids = RegistryIds(settings.schema_registry_url)
    ways = Ways(
        spool=spool,
        journal=journal,
        objects=s3_objects(settings),
        publisher=Publisher(settings, Codec(ids), journal, crash_points),
        pseudonyms=pseudonyms,
        bucket=settings.s3_bucket,
        crash_points=crash_points,
    )
    forwarder = Forwarder(ways, settings.spool_checkpoint_seconds)
    reception = Reception(spool, forwarder, terms, crash_points)
    desk, reports = commitment_parts(settings, vault, pseudonyms, ways.objects)
    listener = Listener(settings, reception, [(evt.EVT_N_ACTION, desk.on_action)])
    health.not_ready("the schemas of the topics have not been seen", "schemas")
    threading.Thread(target=_await_schemas, args=(ids, health, stop), name="schemas", daemon=True).start()
    spool.open()
    try:
        forwarder.start()
        desk.start(stop)
        threading.Thread(target=reports.run, args=(stop,), name="commitment reports", daemon=True).start()
        listener.start()
        health.ready()
        while not stop.wait(_WATCH_SECONDS):
            if forwarder.failed is not None:
                raise forwarder.failed
    finally:
        health.not_ready("stopping")
        listener.stop_accepting()
        reception.wait_idle(_IN_HAND_SECONDS)
        listener.abort_all()
        forwarder.stop(_FORWARDING_SECONDS)
        spool.close()


def _await_schemas(ids: SchemaIds, health: Health, stop: Stop) -> None:
    """Become ready when the registry has our schemas; images are received all the same, into the spool."""
    while not stop.requested:
        try:
            for topic in TOPIC_OF.values():
                ids.id_of(topic)
        except (SchemaMissing, Unavailable) as error:
            health.not_ready(f"{error.cause}: {error}", "schemas")
            stop.wait(_SCHEMA_RETRY_SECONDS)
        else:
            health.ready("schemas")
            return
