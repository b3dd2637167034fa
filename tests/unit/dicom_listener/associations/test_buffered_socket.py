"""What the buffer in front of an association's socket gives, however the bytes come in."""

import fcntl
import select
import socket
import struct
import termios
import threading
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import AE
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association

from dicom_listener.associations.buffered_socket import BufferedSocket
from dicom_listener.associations.idling import Bell

P_DATA, ABORT = 4, 7
_PLAIN = struct.Struct(">BBIIBB")
_UNREAD = struct.Struct("i")
_LONGEST_SECONDS = 20


def pdu(data: bytes, control: int = 0) -> bytes:
    """Write a PDU of one PDV."""
    return _PLAIN.pack(P_DATA, 0, len(data) + 6, len(data) + 2, 1, control) + data


def reader_of(chunks: Sequence[bytes]) -> tuple[BufferedSocket, threading.Thread]:
    """Give the receiving end of a connection, and the thread that sends each chunk once the one before was read."""
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _LONGEST_SECONDS, 0))

    def send() -> None:
        with theirs:
            for chunk in chunks:
                while _UNREAD.unpack(fcntl.ioctl(theirs, termios.TIOCOUTQ, bytes(_UNREAD.size)))[0]:
                    select.select([], [], [], 0.0002)
                theirs.sendall(chunk)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    return BufferedSocket(Association(AE(), MODE_ACCEPTOR), ours, Bell()), sender


def runs(peer: BufferedSocket, room_bytes: int) -> Iterator[bytes]:
    """Read PDUs whose control is 0 by runs into rooms of one size; a room that a PDU does not fit into grows to it."""
    peer.ahead = _PLAIN.size
    while (found := peer.peek(_PLAIN.size, P_DATA)) is not None and not found[-1]:
        head = bytes(found)
        size = _PLAIN.unpack(head)[3] - 2
        peer.skip(len(head))
        room = memoryview(bytearray(max(size, room_bytes)))
        yield bytes(room[: peer.fill_run(room, size, head)])


@given(
    sizes=st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 9)), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 5000), max_size=20),
    room_bytes=st.integers(1, 20_000),
)
def test_runs_of_equal_pdus_lose_and_add_nothing(
    sizes: list[tuple[int, int]], cuts: list[int], room_bytes: int
) -> None:
    """PDUs of any sizes, cut anywhere, into any room: the data is what was sent, what follows is still there."""
    numbered = iter(range(10**6))
    data = [next(numbered).to_bytes(4, "big") * size for size, times in sizes for _ in range(times)]
    stream = b"".join(map(pdu, data)) + pdu(b"the last", control=2)
    chunks = []
    for cut in cuts:
        chunks.append(stream[:cut])
        stream = stream[cut:]

    peer, sender = reader_of([*chunks, stream])
    got = b"".join(runs(peer, room_bytes))
    rest = peer.recv(len(pdu(b"the last")))
    sender.join()
    peer.close()

    assert got == b"".join(data)
    assert rest == pdu(b"the last", control=2)


def test_equal_pdus_that_came_are_read_at_once() -> None:
    """Five PDUs of one size that are there take one read, headers and the next command left out."""
    peer, sender = reader_of([pdu(b"a" * 1000) * 5 + pdu(b"b" * 10, control=2)])
    sender.join()

    assert list(runs(peer, 100_000)) == [b"a" * 5000]
    peer.close()


def test_an_abort_behind_a_pdu_is_not_waited_behind() -> None:
    """A-ABORT is shorter than the header that might follow, and the peer may leave the connection open."""
    ours, theirs = socket.socketpair()
    peer = BufferedSocket(Association(AE(), MODE_ACCEPTOR), ours, Bell())
    theirs.sendall(pdu(b"a" * 1000) + struct.pack(">BBI4x", ABORT, 0, 4))

    assert list(runs(peer, 100_000)) == [b"a" * 1000]
    assert peer.recv(1)[0] == ABORT
    theirs.close()
    peer.close()


@pytest.mark.parametrize("sent", [0, 1, 500, 1011, 1012, 1500])
def test_a_peer_that_goes_within_a_run_is_an_error(sent: int) -> None:
    """A run that ends early raises, wherever: the image is given up."""
    peer, sender = reader_of([(pdu(b"a" * 1000) * 2)[:sent]])

    with pytest.raises(ConnectionError, match="closed"):
        list(runs(peer, 100_000))
    sender.join()
    peer.close()
