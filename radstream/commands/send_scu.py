"""A C-STORE sender (PS3.4 B): several associations, each file in its own transfer syntax, nothing transcoded."""

import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pynetdicom
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from radstream.commands.send_files import Film

SUCCESS = "0x0000"
REJECTED = "rejected"
ABORTED = "aborted"
NOT_DICOM = "not_dicom"

PRIORITY_MEDIUM, PRIORITY_HIGH = 0, 1  # PS3.7 9.3.1.1
#: PS3.8 9.3.2.2: presentation context ids are odd and below 256.
MAX_CONTEXTS = 128
CONNECT_SECONDS = 10.0
#: Longer than any acknowledgement of ours takes, so that a slow answer is not a second image.
ANSWER_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Whom we call, and as whom."""

    host: str
    port: int
    called_ae: str
    calling_ae: str
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How we send."""

    associations: int = 1
    images_per_second: float | None = None
    stat: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one film."""

    film: Film
    status: str  # "0x0000", another DIMSE status, "rejected" or "aborted"
    ack_ms: float | None  # from the first byte sent to the answer


def send_films(films: Sequence[Film], peer: Peer, pace: Pace) -> Iterator[Answer]:
    """Send films and yield each answer as it comes; the order is that of the answers."""
    # Files travel as they stand: pynetdicom would otherwise decode and encode each data set anew.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)  # what it would say stands in the answers
    pynetdicom._config.STORE_SEND_CHUNKED_DATASET = True  # noqa: SLF001 - its documented switch
    waiting: queue.Queue[Film] = queue.Queue()
    for film in films:
        waiting.put(film)
    answers: queue.Queue[Answer] = queue.Queue()
    turn = _turns(pace.images_per_second)
    for number in range(max(1, min(pace.associations, len(films)))):
        sender = _Sender(peer, pace, _contexts(films))
        arguments = (waiting, answers.put, turn)
        threading.Thread(target=sender.run, args=arguments, name=f"sender-{number}", daemon=True).start()
    for _ in films:
        yield answers.get()


def _contexts(films: Sequence[Film]) -> list[PresentationContext]:
    """Propose each pair of class and syntax that the films need, one context for each."""
    pairs = sorted({(film.sop_class_uid, film.transfer_syntax_uid) for film in films})
    return [build_context(UID(sop_class), UID(syntax)) for sop_class, syntax in pairs[:MAX_CONTEXTS]]


def _turns(images_per_second: float | None) -> Callable[[], None]:
    """Give a function that waits until the next image may start, over all associations."""
    if images_per_second is None:
        return lambda: None
    lock = threading.Lock()
    due = time.monotonic()

    def wait() -> None:
        nonlocal due
        with lock:
            mine = max(due, time.monotonic() - 1.0)
            due = mine + 1.0 / images_per_second
        time.sleep(max(0.0, mine - time.monotonic()))

    return wait


class _Sender:
    """One association at a time: a new one after each that broke."""

    def __init__(self, peer: Peer, pace: Pace, contexts: list[PresentationContext]) -> None:
        self._peer = peer
        self._priority = PRIORITY_HIGH if pace.stat else PRIORITY_MEDIUM
        self._ae = AE(ae_title=peer.calling_ae)
        self._ae.requested_contexts = contexts
        self._ae.connection_timeout = CONNECT_SECONDS
        self._ae.acse_timeout = CONNECT_SECONDS
        self._ae.dimse_timeout = ANSWER_SECONDS
        self._ae.network_timeout = ANSWER_SECONDS
        self._ae.maximum_pdu_size = 0
        self._assoc: Association | None = None

    def run(self, waiting: "queue.Queue[Film]", answered: Callable[[Answer], None], turn: Callable[[], None]) -> None:
        """Send until nothing waits."""
        while True:
            try:
                film = waiting.get_nowait()
            except queue.Empty:
                break
            turn()
            answer = self._store(film)
            if answer.status == ABORTED:
                self._assoc = None  # pynetdicom may call it established for a moment more, and would wait for ever
            answered(answer)
        if self._assoc is not None and self._assoc.is_established:
            self._assoc.release()

    def _store(self, film: Film) -> Answer:
        assoc = self._association()
        if not assoc.is_established:
            return Answer(film, REJECTED if assoc.is_rejected else ABORTED, None)
        began = time.monotonic()
        try:
            status = assoc.send_c_store(film.part10, priority=self._priority)
        except ValueError:  # no context for it was accepted
            return Answer(film, REJECTED, None)
        except (RuntimeError, OSError, AttributeError):  # the association ended under it, or the file went away
            return Answer(film, ABORTED, None)
        if "Status" not in status:
            return Answer(film, ABORTED, None)
        return Answer(film, f"0x{status.Status:04X}", round((time.monotonic() - began) * 1000, 3))

    def _association(self) -> Association:
        if self._assoc is None or not self._assoc.is_established:
            peer = self._peer
            self._assoc = self._ae.associate(
                peer.host,
                peer.port,
                ae_title=peer.called_ae,
                tls_args=(peer.tls, peer.host) if peer.tls else None,
            )
        return self._assoc
