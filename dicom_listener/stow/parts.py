"""The parts of a STOW-RS request: each goes, as it arrives, through the same reception as a C-STORE."""

from dataclasses import dataclass, field
from email.message import Message

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from dicom_listener.receiving.reception import Reception, StoreReceipt
from dicom_listener.receiving.terms import Sender
from dicom_listener.standard.command_set import StoreRequest
from dicom_listener.standard.contexts import STANDARD_SYNTAXES, is_storage
from dicom_listener.standard.statuses import StoreStatus
from dicom_listener.standard.uids import well_formed
from dicom_listener.stow.file import FileHead, FileMeta
from dicom_listener.stow.words import FAILURE_OF, Outcome, StowFailure
from schemas.errors import UnparsableDataSet

LARGEST_PARTS = 10_000  # in one request (count)
_MEDIUM_PRIORITY = 0  # PS3.7 E.1
_PLAIN_ENCODINGS = frozenset({"", "binary", "8bit", "7bit"})


class NoMultipart(Exception):
    """The body is not the multipart that its header says."""


class TooManyParts(Exception):
    """The body has more parts than we take in one request."""


@dataclass(frozen=True, slots=True)
class Strange:
    """What is taken of the classes and syntaxes that the standard does not know."""

    classes: bool = False
    syntaxes: bool = False


@dataclass(slots=True, eq=False)
class _Part:
    headers: Message = field(default_factory=Message)
    head: FileHead = field(default_factory=FileHead)
    receipt: StoreReceipt | None = None
    outcome: Outcome | None = None  # decided before its end
    meta: FileMeta | None = None


class Parts:
    """Takes a body piece by piece. One thread uses it; memory does not grow with the parts' sizes."""

    def __init__(self, reception: Reception, sender: Sender, boundary: bytes, strange: Strange) -> None:
        self._reception = reception
        self._sender = sender
        self._strange = strange
        self._part = _Part()
        self._name, self._value = bytearray(), bytearray()
        self._parts: list[_Part] = []
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._header,
                    "on_headers_finished": self._headers,
                    "on_part_data": lambda data, start, end: self._data(memoryview(data)[start:end]),
                    "on_part_end": self._end,
                    "on_end": self._all,
                },
            )
        except FormParserError as error:
            raise NoMultipart from error

    def feed(self, data: bytes) -> None:
        """Take bytes of the body; raise NoMultipart, TooManyParts."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise NoMultipart from error

    def outcomes(self, deadline: float) -> list[Outcome]:
        """Give what became of each part; raise NoMultipart where the closing delimiter was missing."""
        if not self._ended:
            raise NoMultipart
        return [_outcome(part, deadline) for part in self._parts]

    def abandon(self) -> None:
        """Leave nothing of the part that did not arrive whole; what did is kept, as after a C-STORE."""
        if self._part.receipt is not None and self._part not in self._parts:
            self._part.receipt.discard()
        for part in self._parts:
            _outcome(part, deadline=0.0)

    def _begin(self) -> None:
        if len(self._parts) >= LARGEST_PARTS:
            raise TooManyParts
        self._part = _Part()

    def _header(self) -> None:
        self._part.headers[self._name.decode("latin-1")] = self._value.decode("latin-1")
        self._name.clear()
        self._value.clear()

    def _headers(self) -> None:
        headers = self._part.headers
        kind = headers.get_content_type() if "content-type" in headers else "application/dicom"
        encoding = str(headers.get("content-transfer-encoding", "")).strip().lower()
        if kind != "application/dicom" or encoding not in _PLAIN_ENCODINGS:
            self._part.outcome = Outcome(StowFailure.CANNOT_UNDERSTAND)

    def _data(self, data: memoryview) -> None:
        part = self._part
        if part.outcome is not None:
            return
        if part.receipt is not None:
            part.receipt.write(data)
            return
        try:
            meta = part.head.take(data)
        except UnparsableDataSet:
            part.outcome = Outcome(StowFailure.CANNOT_UNDERSTAND)
            return
        if meta is not None:
            self._open(part, meta)

    def _open(self, part: _Part, meta: FileMeta) -> None:
        part.meta = meta
        failure = self._refusal(meta)
        if failure is not None:
            part.outcome = Outcome(failure, meta.sop_class_uid, meta.sop_instance_uid)
            return
        request = StoreRequest(0, meta.sop_class_uid, meta.sop_instance_uid, _MEDIUM_PRIORITY)
        part.receipt = self._reception.receive(self._sender, request, (meta.sop_class_uid, meta.transfer_syntax_uid))
        part.receipt.write(part.head.rest)
        part.head = FileHead()

    def _refusal(self, meta: FileMeta) -> StowFailure | None:
        """Say what a C-STORE's negotiation would have refused."""
        if not well_formed(meta.sop_class_uid) or not is_storage(
            meta.sop_class_uid, unknown_classes=self._strange.classes
        ):
            return StowFailure.SOP_CLASS_NOT_SUPPORTED
        known = meta.transfer_syntax_uid in STANDARD_SYNTAXES
        if not known and not (self._strange.syntaxes and well_formed(meta.transfer_syntax_uid)):
            return StowFailure.TRANSFER_SYNTAX_NOT_SUPPORTED
        return None

    def _end(self) -> None:
        part = self._part
        self._parts.append(part)
        if part.receipt is not None:
            part.receipt.accept()
        elif part.outcome is None:
            part.outcome = Outcome(StowFailure.CANNOT_UNDERSTAND)

    def _all(self) -> None:
        self._ended = True


def _outcome(part: _Part, deadline: float) -> Outcome:
    if part.receipt is None or part.meta is None:
        return part.outcome or Outcome(StowFailure.CANNOT_UNDERSTAND)
    status = part.receipt.answer(deadline)
    failure = None if status is StoreStatus.SUCCESS else FAILURE_OF[status]
    return Outcome(failure, part.meta.sop_class_uid, part.meta.sop_instance_uid)
