"""The composition root of stage 1: one process that receives, forwards and answers; the fork server forks it."""

import socket
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pynetdicom import evt

from dicom_listener.associations.pace import Pace
from dicom_listener.associations.server import Listener
from dicom_listener.commitment.parts import commitment_parts
from dicom_listener.crash_points import Step
from dicom_listener.forwarding.fences import WRITERS, WRITERS_UNDER_SPOOL, Fences, writer_of
from dicom_listener.forwarding.forwarder import Forwarder
from dicom_listener.forwarding.publisher import Publisher
from dicom_listener.forwarding.work import Ways
from dicom_listener.forwarding.yielding import FILLING_SHARE, Yielding
from dicom_listener.processes.board import Board
from dicom_listener.processes.channel import Channel
from dicom_listener.processes.kinship import end_with_parent
from dicom_listener.processes.link import Link, ToldHealth
from dicom_listener.processes.workers import slot_of
from dicom_listener.receiving.reception import Reception
from dicom_listener.receiving.routes import read_routes
from dicom_listener.receiving.terms import Terms
from dicom_listener.standard.contexts import STANDARD_SYNTAXES
from dicom_listener.stow.door import StowDoor
from dicom_listener.stow.request import stow_terms
from radstream.crash_points import CrashPoints
from radstream.journal.journal import pseudonyms_of
from radstream.journal.vault import Vault
from radstream.journal.writer import Journal
from radstream.logs import get_log
from radstream.objects.stores import s3_objects
from radstream.postgres import connect
from radstream.registry import RegistryIds
from radstream.service import Health, Stop, run_process
from radstream.settings import Settings
from radstream.spool.spool import Spool, left_behind
from radstream.traces import traces_of
from schemas.codec import Codec, SchemaIds
from schemas.errors import RadStreamError, SchemaMissing, SettingInvalid, Unavailable
from schemas.topics import RECEIVED_OF
from schemas.words import Lane

SERVICE = "dicom_listener"
_IN_HAND_SECONDS = 6.0
_FORWARDING_SECONDS = 2.5
_SCHEMA_RETRY_SECONDS = 1.0
_WATCH_SECONDS = 0.2
#: A process that was killed holds its slot a moment longer.
_SLOT_SECONDS = 5.0
_SLOT_RETRY_SECONDS = 0.1
_ADOPTION_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """Which of the listener's processes this is."""

    number: int
    slot: str
    board: Board


def run(settings: Settings, health: Health, stop: Stop, *, link: Link, place: Place) -> None:
    """Receive until asked to stop.

    1. take the slot and its spool
    2. forward what it holds, in the background
    3. tell the parent: ready for connections
    4. the first process takes STOW-RS, sends the reports of commitment, and adopts what slots hold that nobody has
    5. on the request to stop: take nothing new, answer what is in hand, end the batch in hand
    """
    settings = replace(settings, listener_slot=place.slot)
    crash_points = CrashPoints(Step, settings.die_at, settings.spool / f"died-at-{settings.die_at}")
    pseudonyms = pseudonyms_of(settings)
    vault = Vault(settings.require_vault_key())
    terms = Terms(
        policy=settings.ack_policy,
        deadline_seconds=settings.ack_deadline_seconds,
        shed_percent=settings.spool_shed_percent,
        refuse_percent=settings.spool_refuse_percent,
        routes=read_routes(settings.routes),
        lenient_syntaxes=STANDARD_SYNTAXES if settings.accept_unknown_syntaxes else None,
        processes=place.board.processes,
    )
    spool = Spool(settings.spool, settings.listener_slot, spare_bytes=settings.spool_spare_bytes)
    lanes = [*Lane] * (WRITERS if settings.ack_policy == "published" else WRITERS_UNDER_SPOOL)
    journals = [
        Journal(partial(connect, settings, SERVICE), vault, pseudonyms, writer_of(settings.listener_slot, number))
        for number in range(len(lanes))
    ]
    ids = RegistryIds(settings.schema_registry_url)
    yielding = Yielding(
        place.board,
        worker=place.number,
        yields=settings.ack_policy == "spool",
        is_filling=lambda: spool.used_percent() > settings.spool_shed_percent * FILLING_SHARE,
    )
    fences = Fences(settings)
    ways = Ways(
        spool=spool,
        journal=journals[0],
        objects=s3_objects(settings),
        publishers=[
            (lane, Publisher(settings, Codec(ids), one, fences, crash_points))
            for lane, one in zip(lanes, journals, strict=True)
        ],
        pseudonyms=pseudonyms,
        bucket=settings.s3_bucket,
        crash_points=crash_points,
        yielding=yielding,
        traces=traces_of(settings, SERVICE),
    )
    forwarder = Forwarder(ways, settings.spool_checkpoint_seconds, terms.shed_percent)
    reception = Reception(spool, forwarder, terms, crash_points, yielding)
    desk, reports = commitment_parts(settings, vault, pseudonyms, ways.objects)
    pace = Pace(settings.maximum_images_per_second, settings.maximum_bytes_per_second, stop, place.board)
    listener = Listener(settings, reception, link, pace, [(evt.EVT_N_ACTION, desk.on_action)])
    stow = StowDoor(reception, stow_terms(settings)) if settings.stow_port and place.number == 0 else None
    health.not_ready("the schemas of the topics have not been seen", "schemas")
    threading.Thread(target=_await_schemas, args=(ids, health, stop), name="schemas", daemon=True).start()
    _take_slot(spool, stop)
    try:
        forwarder.start()
        threading.Thread(target=spool.prepare, name="spares", daemon=True).start()
        desk.start(stop)
        listener.start()
        link.listen(listener.arrived, listener.drop)
        health.ready()
        if stow is not None:
            stow.start()
        if place.number == 0:
            threading.Thread(target=reports.run, args=(stop,), name="commitment reports", daemon=True).start()
            ours = frozenset(slot_of(settings.listener_slot, number) for number in range(place.board.processes))
            threading.Thread(
                target=_adopt, args=(ways, fences, settings.spool, ours, stop), name="adoption", daemon=True
            ).start()
        while not stop.wait(_WATCH_SECONDS):
            if forwarder.failed is not None:
                raise forwarder.failed
    finally:
        health.not_ready("stopping")
        listener.stop_accepting()
        if stow is not None:
            stow.stop_accepting()
        reception.wait_idle(_IN_HAND_SECONDS)
        listener.abort_all()
        forwarder.stop(_FORWARDING_SECONDS)
        ways.traces.close()
        spool.close()


def _await_schemas(ids: SchemaIds, health: Health, stop: Stop) -> None:
    """Become ready when the registry has our schemas; images are received all the same, into the spool."""
    while not stop.requested:
        try:
            for topic in RECEIVED_OF.values():
                ids.id_of(topic)
        except (SchemaMissing, Unavailable) as error:
            health.not_ready(f"{error.cause}: {error}", "schemas")
            stop.wait(_SCHEMA_RETRY_SECONDS)
        else:
            health.ready("schemas")
            return


def _take_slot(spool: Spool, stop: Stop) -> None:
    deadline = time.monotonic() + _SLOT_SECONDS
    while True:
        try:
            spool.open()
        except SettingInvalid:
            if time.monotonic() > deadline or stop.wait(_SLOT_RETRY_SECONDS):
                raise
        else:
            return


def _adopt(ways: Ways, fences: Fences, root: Path, ours: frozenset[str], stop: Stop) -> None:
    """Move into our slot what slots hold that nobody has: of processes that were more before, of former names.

    1. lock the slot; one that somebody holds is not ours to take
    2. fence its transactional.ids, so that what it had begun is over
    3. move its images
    """
    while not stop.requested:
        for slot in left_behind(root, ours):
            other = Spool(root, slot)
            try:
                other.open()
            except SettingInvalid:
                continue
            try:
                fences.fence_slot(slot)
                get_log().info("slot adopted", slot=slot, images=ways.spool.take_over(other))
            except RadStreamError as error:
                get_log().warning("slot not adopted", slot=slot, cause=error.cause)
            finally:
                other.close()
        stop.wait(_ADOPTION_SECONDS)


def main(descriptor: int, place: Place) -> int:
    """Run as a worker whose channel to the parent is an open descriptor; give the exit status."""
    end_with_parent()
    stop = Stop()
    link = Link(Channel(socket.socket(fileno=descriptor)), stop)
    return run_process(SERVICE, partial(run, link=link, place=place), ToldHealth(link), stop)
