"""The data path of a C-STORE below pynetdicom's state machine (PS3.8 section 9).

pynetdicom negotiates, releases and aborts, and serves every command but C-STORE. P-DATA of a C-STORE goes from the
socket through one fixed buffer to whoever receives it: memory does not grow with the object, nothing is copied twice,
and no length that a peer claims is believed before it is checked against what was negotiated.
"""

import struct
from typing import TYPE_CHECKING, Any, Protocol, cast

from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from dicom_listener.associations.buffered_socket import AHEAD_BYTES, BUFFER_BYTES, BufferedSocket
from dicom_listener.associations.idling import Bell, Pause, ToldQueue
from dicom_listener.standard.command_set import StoreRequest, store_request, store_response
from schemas.errors import UnparsableDataSet

if TYPE_CHECKING:
    from pynetdicom.association import Association

#: 128 contexts of 40 transfer syntaxes and a long user identity fit in.
_LARGEST_ASSOCIATE_BYTES = 256 * 1024
_LARGEST_COMMAND_BYTES = 16 * 1024
#: A request for storage commitment of some 10,000 instances fits in.
_LARGEST_OTHER_DATA_SET_BYTES = 2 * 1024 * 1024
_RELEASE_BYTES = 4

_P_DATA = 0x04
_PDU = struct.Struct(">BBI")
_PDV = struct.Struct(">IBB")
_PLAIN = struct.Struct(">BBIIBB")  # both, of a PDU with one PDV
_PDV_LENGTH, _PDV_COUNTED = 4, 2  # of the PDV's header, what its length does not count and what it does
_COMMAND, _LAST = 0x01, 0x02  # PS3.8 E.2
_IDLE, _DATA_TRANSFER, _AWAITING_CLOSE = "Sta1", "Sta6", "Sta13"  # PS3.8 9.2.1

#: PS3.8 table 9-11 and on: the lengths that we take of each PDU other than P-DATA (bytes).
_LENGTHS = {
    0x01: range(68, _LARGEST_ASSOCIATE_BYTES + 1),
    0x02: range(68, _LARGEST_ASSOCIATE_BYTES + 1),
    0x03: range(_RELEASE_BYTES, _RELEASE_BYTES + 1),
    0x05: range(_RELEASE_BYTES, _RELEASE_BYTES + 1),
    0x06: range(_RELEASE_BYTES, _RELEASE_BYTES + 1),
    0x07: range(_RELEASE_BYTES, _RELEASE_BYTES + 1),
}


class Receipt(Protocol):
    """One object that is arriving."""

    @property
    def room(self) -> memoryview:
        """Where the next bytes of the data set may be put: there is always room for one."""

    def took(self, count: int) -> None:
        """Take bytes that were put there; never raises, remembers what went wrong for the answer."""

    def finish(self) -> int:
        """Give the status of the answer: the data set is complete."""

    def discard(self) -> None:
        """Leave nothing: the object will never be complete."""


class Door(Protocol):
    """Where objects and associations are received."""

    def begin(self, assoc: "Association", request: StoreRequest, context: tuple[str, str]) -> Receipt:
        """Receive an object whose data set follows; `context`: its abstract and transfer syntax. Never raises."""

    def closed(self, assoc: "Association", images: int) -> None:
        """Note that an association is over, in whatever way."""


class NotUpperLayer(Exception):
    """The bytes are no DICOM upper layer, or a length lies: the association is aborted."""


class StoreDul(DULServiceProvider):
    """pynetdicom's upper layer, with P-DATA read by us."""

    def __init__(self, assoc: "Association", door: Door, maximum_pdu_bytes: int) -> None:
        super().__init__(assoc)
        self.daemon = True  # a peer that stalls must not hold up the end of the process
        self._door = door
        self._maximum_pdu_bytes = maximum_pdu_bytes
        self._command = bytearray()
        self._passing = 0  # bytes that the data set of another command may still have
        self._store: tuple[StoreRequest, int, Receipt] | None = None
        self._images = 0
        self.bell = Bell()
        self._pause = Pause(lambda: assoc.dimse.msg_queue.empty() and self.to_user_queue.empty())
        assoc._reactor_checkpoint = self._pause  # noqa: SLF001 - pynetdicom's own way to pause an association's thread
        self.to_provider_queue = ToldQueue(self.bell.ring)
        self.to_user_queue = ToldQueue(self._pause.tell)
        assoc.dimse.msg_queue = ToldQueue(self._pause.tell)

    def run_reactor(self) -> None:
        """Run until the association is over; what had not arrived whole is discarded."""
        try:
            super().run_reactor()
        finally:
            self._discard()
            self._pause.calm.set()
            # A peer that goes before it asks is none of the association's news: it would wait out the ARTIM time, and
            # its thread would count. None ends the wait.
            self.to_user_queue.put(cast("Any", None))
            self._door.closed(self.assoc, self._images)

    def kill_dul(self) -> None:
        """End the reactor."""
        super().kill_dul()
        self.bell.ring()

    def stop_dul(self) -> bool:
        """End the reactor if the connection is over, and wait for its end; say whether that is so."""
        if self.state_machine.current_state == _IDLE:
            self.kill_dul()
        return super().stop_dul()

    @property
    def storing(self) -> bool:
        """Whether an object or a command is arriving."""
        return self._store is not None or bool(self._command)

    @property
    def _peer(self) -> BufferedSocket:
        return cast("BufferedSocket", self.socket)

    def _read_pdu_data(self) -> None:
        """Read what came, in the state machine's words: Evt17 closed, Evt19 no upper layer (PS3.8 9.2.2)."""
        try:
            if self.state_machine.current_state == _AWAITING_CLOSE:
                # What an aborted peer still sends is dropped; unread bytes would turn our close into a reset.
                self._peer.take(BUFFER_BYTES)
                return
            self._pause.calm.clear()
            self._read_while_storing()
        except (OSError, ConnectionError):
            self._discard()
            self.event_queue.put("Evt17")
        except (NotUpperLayer, UnparsableDataSet):
            self._discard()
            self.event_queue.put("Evt19")
        finally:
            self._pause.calm.set()

    def _read_while_storing(self) -> None:
        """Read PDUs; return to the reactor when one is pynetdicom's or the peer pauses between objects."""
        while True:
            if self._store is not None:
                self._read_plain_pdus(self._store[2])
            kind, _, length = _PDU.unpack(self._peer.recv(_PDU.size))
            if kind != _P_DATA:
                self._read_for_pynetdicom(kind, length)
                return
            if self.state_machine.current_state != _DATA_TRANSFER or length > self._maximum_pdu_bytes:
                raise NotUpperLayer
            self._read_p_data(length)
            self._idle_timer.restart()
            within = self._store is not None or self._command
            if not within and (self._kill_thread or not self.to_provider_queue.empty() or not self._peer.goes_on):
                return

    def _read_for_pynetdicom(self, kind: int, length: int) -> None:
        if length not in _LENGTHS.get(kind, ()):
            raise NotUpperLayer
        self._discard()
        body = _PDU.pack(kind, 0, length) + self._peer.recv(length)
        try:
            pdu, event = self._decode_pdu(bytearray(body))
        except Exception as error:
            raise NotUpperLayer from error
        self._recv_pdu.put(pdu)
        self.event_queue.put(event)

    def _read_p_data(self, length: int) -> None:
        left = length
        while left:
            if left < _PDV.size:
                raise NotUpperLayer
            counted, context_id, control = _PDV.unpack(self._peer.recv(_PDV.size))
            size = counted - _PDV_COUNTED
            left -= _PDV.size + size
            if size < 0 or left < 0:
                raise NotUpperLayer
            if control & _COMMAND:
                self._read_command(context_id, size, last=bool(control & _LAST))
            elif self._store is not None:
                self._read_data_set(size, last=bool(control & _LAST))
            else:
                self._pass(context_id, control, size)

    def _read_command(self, context_id: int, size: int, *, last: bool) -> None:
        if self._store is not None or len(self._command) + size > _LARGEST_COMMAND_BYTES:
            raise NotUpperLayer
        self._command += self._peer.recv(size)
        if not last:
            return
        command, self._command = bytes(self._command), bytearray()
        request = store_request(command)
        if request is None:
            self._passing = _LARGEST_OTHER_DATA_SET_BYTES
            self._hand_over(context_id, bytes((_COMMAND | _LAST,)) + command)
            return
        context = self.assoc._accepted_cx.get(context_id)  # noqa: SLF001 - there is no public look-up by id
        if context is None:
            raise NotUpperLayer
        syntaxes = (str(context.abstract_syntax), str(context.transfer_syntax[0]))
        self._store = request, context_id, self._door.begin(self.assoc, request, syntaxes)
        self._peer.ahead = _PDU.size + _PDV.size  # the rest goes straight to where it is hashed and written from

    def _read_data_set(self, size: int, *, last: bool) -> None:
        assert self._store is not None  # noqa: S101 - for the type checker; the caller looked
        request, context_id, receipt = self._store
        self._fill(receipt, size)
        if last:
            self._store = None
            self._peer.ahead = AHEAD_BYTES
            command = store_response(request, receipt.finish())
            head = _PDU.pack(_P_DATA, 0, _PDV.size + len(command))
            self._peer.answer(head + _PDV.pack(len(command) + _PDV_COUNTED, context_id, _COMMAND | _LAST) + command)
            self._images += 1

    def _read_plain_pdus(self, receipt: Receipt) -> None:
        """Read PDUs that hold one part of the data set each and not its last: nearly all that a large object has.

        Whatever is anything else is left where it is, for those who look at every length.
        """
        peer = self._peer
        while (found := peer.peek(_PLAIN.size, _P_DATA)) is not None:
            head = bytes(found)
            _, _, length, counted, _, control = _PLAIN.unpack(head)
            size = counted - _PDV_COUNTED
            if control or size <= 0 or length != counted + _PDV_LENGTH or length > self._maximum_pdu_bytes:
                return
            peer.skip(_PLAIN.size)
            room = receipt.room
            if size <= len(room):
                receipt.took(peer.fill_run(room, size, head))
            else:
                self._fill(receipt, size)

    def _fill(self, receipt: Receipt, size: int) -> None:
        while size:
            room = receipt.room
            if len(room) > size:
                room = room[:size]
            self._peer.fill(room)
            receipt.took(len(room))
            size -= len(room)

    def _pass(self, context_id: int, control: int, size: int) -> None:
        """Hand the data set of another command to pynetdicom, up to a limit."""
        self._passing -= size
        if self._passing < 0:
            raise NotUpperLayer
        self._hand_over(context_id, bytes((control,)) + self._peer.recv(size))

    def _hand_over(self, context_id: int, value: bytes) -> None:
        primitive = P_DATA()
        # pynetdicom's annotation says tuple, its setter refuses one.
        primitive.presentation_data_value_list = [[context_id, value]]  # type: ignore[list-item]
        self.assoc.dimse.receive_primitive(primitive)

    def _discard(self) -> None:
        if self._store is not None:
            self._store[2].discard()
            self._store = None
