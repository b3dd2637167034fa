"""`python -m consumers inference`: both lanes in one process, around one engine and one pool of decoders."""

from dataclasses import replace
from functools import partial

from consumers.decoding.decoders import Decoders
from consumers.decoding.expired import KnowingPurges, purged_by_journal
from consumers.decoding.heap import frugal_memory
from consumers.decoding.nursery import Nursery
from consumers.door.desk import Desk
from consumers.door.serve import Door
from consumers.door.terms import door_terms
from consumers.engines.choice import passes_at_one_time
from consumers.inference.batches import BatchLimits
from consumers.inference.crash_points import MortalPool, MortalWriter, Step
from consumers.inference.forward import Forward, Told
from consumers.inference.group import InferenceGroup
from consumers.inference.remembered import remembering
from consumers.lanes.precedence import Precedence
from consumers.lanes.right_of_way import RightOfWay
from consumers.loop.breaker import PostgresBreakers
from consumers.loop.dead_letters import DeadLetters
from consumers.loop.handler import LoopLimits, Surroundings
from consumers.loop.loop import Loop
from consumers.loop.publish import InTransaction
from consumers.loop.starting import Pulse, patiently, together
from consumers.meters.device import DeviceMeters, TorchDevices
from consumers.meters.instruments import Instruments
from consumers.meters.lag import lag_metered
from consumers.models.composition import deployed_models
from consumers.models.deployed import follow_in_thread
from consumers.results.heatmaps import HeatMaps, Which
from radstream.broker.kafka_broker import KafkaBroker
from radstream.crash_points import CrashPoints
from radstream.journal.vault import Vault
from radstream.objects.stores import s3_objects
from radstream.registry import RegistryIds
from radstream.service import Health, Stop
from radstream.settings import Settings
from radstream.traces import traces_of
from schemas.codec import Codec
from schemas.topics import COMPLETED, DEAD_LETTERED, MODEL_DEPLOYED, RECEIVED_OF, SHADOWED
from schemas.words import Lane


def group_name(model: str, lane: Lane) -> str:
    """Name a lane's group.

    >>> group_name("chest-pneumonia", Lane.STAT)
    'inference.chest-pneumonia.stat'
    """
    return f"inference.{model}.{lane}"


def limits_of(settings: Settings, lane: Lane) -> LoopLimits:
    """Give a lane's limits: a STAT result waits for no other."""
    return LoopLimits(
        window=settings.window_images,
        batch=settings.commit_images,
        age_s=0.0 if lane is Lane.STAT else settings.commit_age_seconds,
        backlog_age_s=0.0 if lane is Lane.STAT else settings.commit_backlog_age_seconds,
        dead_letters=settings.breaker_dead_letters,
    )


def serve(settings: Settings, health: Health, stop: Stop, nursery: Nursery) -> None:
    """Run both lanes until asked to stop; raises what ends the process (Fenced, OffsetUnknown, ModelRefused).

    1. start the decoders, wait for the schemas: a service never registers them
    2. read the deployments to their end and load what answers now, then wait for the decoders: nothing is taken from
       the log before that
    3. run a loop for each lane, in a thread of its own, and one that follows the deployments; the first lane that fails
       ends both
    """
    points = CrashPoints(Step, settings.die_at, freeze_at=settings.freeze_at)
    vault = Vault(settings.require_vault_key())
    terms = door_terms(settings) if settings.predict_port else None
    door = Door(terms) if terms else None
    precedence = Precedence(RightOfWay(), stat_threads=1, nice=settings.routine_nice)
    workers, timeout_s = settings.decode_workers, settings.decode_timeout_seconds
    decoders = Decoders(s3_objects(settings), workers, timeout_s, precedence, nursery)
    pulse, instruments, traces = Pulse(), Instruments(), traces_of(settings, "inference")
    forward = Forward(
        BatchLimits(settings.batch_images, settings.batch_age_seconds),
        settings.forward_threads or passes_at_one_time(),
        told=Told(pulse.beat, instruments.batch),
        precedence=precedence,
    )
    engines = remembering(forward, settings)
    heatmaps = HeatMaps(s3_objects(settings), Which(settings.heatmaps))
    try:
        ids = RegistryIds(settings.schema_registry_url)
        written = (COMPLETED, SHADOWED, DEAD_LETTERED, MODEL_DEPLOYED)
        patiently(lambda: [ids.id_of(topic) for topic in written], "schemas", health, stop)
        assignments, follower = deployed_models(settings, Codec(ids), health)
        patiently(assignments.log.refresh, "deployments", health, stop)
        patiently(follower.start, "models", health, stop)
        decoders.wait_ready()
        frugal_memory()
        around = Surroundings(
            broker=KafkaBroker(settings),
            breakers=PostgresBreakers(settings),
            instruments=instruments,
            health=health,
            pulse=pulse,
            traces=traces,
        )

        def lane_loop(lane: Lane) -> None:
            group = group_name(assignments.model, lane)
            handler = InferenceGroup(
                name=group,
                lane=lane,
                assignments=assignments,
                pool=MortalPool(KnowingPurges(decoders, purged_by_journal(settings)), points),
                forward=engines,
                heatmaps=heatmaps,
                codec=Codec(ids),
                letters=DeadLetters(group, Codec(ids), vault),
                instruments=around.instruments,
                clock=around.clock,
                traces=around.traces,
            )
            slot = f"{group}.{settings.inference_slot}"
            writer = patiently(lambda: around.broker.transactional_writer(slot), group, health, stop)
            if writer is not None:
                here = replace(around, limits=limits_of(settings, lane), way=precedence.way.of(lane))
                Loop(group, [RECEIVED_OF[lane]], handler, InTransaction(MortalWriter(writer, points)), here).run(stop)

        _meter(instruments, decoders, forward)
        health.ready()
        follow_in_thread(follower, stop)
        calls = [partial(lane_loop, lane) for lane in Lane]
        if terms and door:
            calls.append(partial(door.run, Desk(decoders, engines, assignments, terms.shares), stop))
        with lag_metered(settings, [group_name(assignments.model, lane) for lane in Lane]):
            together(calls, stop, pulse)
    finally:
        if door:
            door.close()
        forward.close()
        decoders.close()
        traces.close()


def _meter(instruments: Instruments, decoders: Decoders, forward: Forward) -> None:
    """Let whoever asks for the meters see the queues and the accelerators."""
    for lane in Lane:
        instruments.queue("decode", partial(decoders.waiting, lane), lane)
    instruments.queue("forward", lambda: forward.waiting)
    DeviceMeters(TorchDevices())
