"""The listener as a real process against real servers, and what it left in log, journal and spool."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg2.extras
import pytest
from confluent_kafka import KafkaError, TopicPartition

from radstream.broker.kafka import reader
from radstream.journal.journal import JournalReader, pseudonyms_of
from radstream.journal.vault import Vault
from radstream.objects.stores import s3_objects
from radstream.postgres import connect
from radstream.registry import RegistryIds
from radstream.settings import Settings
from radstream.stack.site import Site
from schemas.codec import Codec
from schemas.errors import BadMessage
from schemas.instance_received import InstanceReceived
from schemas.topics import RECEIVED_ROUTINE, RECEIVED_STAT, STUDY_PARTITIONS
from tests.integration.listener.films import Film
from tests.integration.listener.raw_scu import ACCEPT, RawScu
from tests.running import Service, until, unused_port


@dataclass(frozen=True)
class Listening:
    """A running listener, with eyes on everything that it writes."""

    service: Service
    port: int
    spool: Path
    settings: Settings

    def send(self, film: Film, data: bytes | None = None, *, called_ae: str = "RADSTREAM", priority: int = 0) -> int:
        """Send one film on an association of its own; give its status."""
        with RawScu(self.port, called_ae=called_ae) as scu:
            assert scu.associate().kind == ACCEPT
            status = scu.store(film.data() if data is None else data, film.uid, priority=priority)
            scu.release()
            return status

    def events(self, *films: Film) -> list[InstanceReceived]:
        """Read from the log (read_committed) every event of these films' studies, in order."""
        keys = pseudonyms_of(self.settings)[0]
        wanted = {keys.uid(film.study_uid) for film in films}
        return [event for event in read_log(self.settings) if event.study_pseudonym in wanted]

    def all_events(self) -> list[InstanceReceived]:
        """Read every event of the log."""
        return read_log(self.settings)

    def rows(self, film: Film) -> list[dict[str, object]]:
        """Read the journal's rows of a film, by revision."""
        return self.rows_of_uid(film.uid)

    def rows_of_uid(self, sop_instance_uid: str) -> list[dict[str, object]]:
        """Read the journal's rows of an instance, by revision."""
        pseudonym = pseudonyms_of(self.settings)[0].uid(sop_instance_uid)
        with closing(connect(self.settings)) as connection, connection:
            cursor = connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
            cursor.execute("SELECT * FROM journal WHERE instance_pseudonym = %s ORDER BY revision", (pseudonym,))
            return [dict(row) for row in cursor.fetchall()]

    def journal(self) -> JournalReader:
        """Give the reading side of the journal."""
        return JournalReader(partial(connect, self.settings), Vault(self.settings.require_vault_key()))

    def object_of(self, event: InstanceReceived) -> bytes:
        """Read an event's object."""
        return s3_objects(self.settings).get(event.object_key)

    def lose_object(self, event: InstanceReceived) -> None:
        """Lose an event's object, as a power cut may."""
        s3_objects(self.settings).remove(event.object_key)

    def waiting(self) -> list[Path]:
        """List what lies in the spool: arriving or waiting, not what is forwarded."""
        return [path for kind in ("part", "dcm", "doubt") for path in self.spool.glob(f"*/*.{kind}")]

    def wait_restarted(self, killed: int) -> None:
        """Wait until the parent has started a worker in a dead one's place and it is ready."""
        until(lambda: killed not in self.service.workers(), 10, "the worker lives")
        until(self.service.workers, 30, "no worker was started again")
        self.service.wait_ready()

    def wait_empty(self, seconds: float = 30.0) -> None:
        """Wait until everything is forwarded."""
        try:
            until(lambda: not self.waiting(), seconds)
        except AssertionError as error:
            raise AssertionError(f"images still wait in the spool: {self.service.stacks()}") from error


def read_log(settings: Settings) -> list[InstanceReceived]:
    """Read both lanes from their beginning to the last stable offset."""
    codec = Codec(RegistryIds(settings.schema_registry_url))
    places = [(topic, number) for topic in (RECEIVED_STAT, RECEIVED_ROUTINE) for number in range(STUDY_PARTITIONS)]
    log = reader(settings)
    found: list[InstanceReceived] = []
    try:
        log.assign([TopicPartition(topic, number, 0) for topic, number in places])
        ended: set[tuple[str, int]] = set()
        while len(ended) < len(places):
            message = log.poll(10.0)
            assert message is not None, "the log does not answer"
            error = message.error()
            if error is None:
                with suppress(BadMessage):  # other tests write records that are none of ours
                    found.append(codec.decode(message.value()))
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error  # noqa: SLF001
                ended.add((str(message.topic()), int(message.partition() or 0)))
    finally:
        log.close()
    return found


@pytest.fixture
def listen(service: Callable[..., Service], stack: Settings, tmp_path: Path) -> Callable[..., Listening]:
    """Give a function that starts a listener with its own port, spool and slot: `listen(RADSTREAM_...="...")`."""

    def begin(*, wait: bool = True, **environment: str) -> Listening:
        port, spool = unused_port(), tmp_path / "spool"
        own = {
            "RADSTREAM_DICOM_PORT": str(port),
            "RADSTREAM_SPOOL_DIR": str(spool),
            "RADSTREAM_LISTENER_SLOT": f"test-{port}",
        }
        started = service("dicom_listener", wait=wait, **{**own, **environment})
        return Listening(started, port, spool, stack)

    return begin


@pytest.fixture
def listening(listen: Callable[..., Listening]) -> Listening:
    """Give a listener with default settings."""
    return listen()


@pytest.fixture(scope="module")
def module_listen(
    site: Site, plain_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Listening]]:
    """Give a function that starts a listener for a module's tests: that it outlives them is part of what they test."""
    started: list[Service] = []

    def begin(**environment: str) -> Listening:
        folder = tmp_path_factory.mktemp("shared")
        port = unused_port()
        own = {
            "RADSTREAM_METRICS_PORT": str(unused_port()),
            "RADSTREAM_DICOM_PORT": str(port),
            "RADSTREAM_STOW_PORT": str(unused_port()),
            "RADSTREAM_SPOOL_DIR": str(folder / "spool"),
            "RADSTREAM_LISTENER_SLOT": f"test-{port}",
        }
        service = Service(
            "dicom_listener", {**plain_environment, **site.environment, **own, **environment}, folder / "listener.log"
        )
        started.append(service)
        service.start()
        return Listening(service, port, folder / "spool", Settings.from_environment(site.environment))

    yield begin
    for service in started:
        assert service.stop() == 0, service.tail()


@pytest.fixture(scope="module")
def shared_listening(module_listen: Callable[..., Listening]) -> Listening:
    """Give one listener for a module's tests."""
    return module_listen()
