"""A request's body from the socket: plain or in chunks, with limits on its size and on the sender's slowness."""

import io
import socket
import time
from collections.abc import Iterator
from email.message import Message

_PIECE_BYTES = 64 * 1024
_LONGEST_LINE = 1024  # of a chunk's size or a trailer (bytes)
_MOST_TRAILERS = 32


class TooSlow(Exception):
    """The sender was silent or slow for too long."""


class TooLarge(Exception):
    """The body is over the limit."""


class Dropped(Exception):
    """The sender went away before the end."""


class BadLength(Exception):
    """The body's length can't be told, or lies."""


class NoLength(Exception):
    """The body has neither a length nor chunks."""


class PatientReader(io.RawIOBase):
    """Reads a socket; counts the time that was spent waiting for the sender, and that alone."""

    def __init__(self, connection: socket.socket, idle_seconds: float, sender_seconds: float) -> None:
        super().__init__()
        self._connection = connection
        self._idle_seconds = idle_seconds
        self._sender_seconds = sender_seconds
        self._left = sender_seconds

    def begin(self) -> None:
        """Begin a request: its time starts anew."""
        self._left = self._sender_seconds

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # typeshed's Buffer is newer than 3.11
        """Read what is there, waiting as long as the limits allow; raise TooSlow."""
        began = time.monotonic()
        if self._left <= 0:
            raise TooSlow
        self._connection.settimeout(min(self._idle_seconds, self._left))
        try:
            return self._connection.recv_into(buffer)
        except TimeoutError as error:
            raise TooSlow from error
        finally:
            self._left -= time.monotonic() - began


def body(headers: Message, stream: io.BufferedIOBase, limit_bytes: int) -> Iterator[bytes]:
    """Check the header now, then give the body piece by piece.

    Raises BadLength, NoLength, TooLarge; the pieces raise these, Dropped and TooSlow.
    """
    coding = headers.get("transfer-encoding")
    length = headers.get("content-length")
    if coding is not None:
        if coding.strip().lower() != "chunked" or length is not None:
            raise BadLength
        return _chunks(stream, limit_bytes)
    if length is None:
        raise NoLength
    if not (length.isascii() and length.isdigit()) or len(headers.get_all("content-length", [])) > 1:
        raise BadLength
    if int(length) > limit_bytes:
        raise TooLarge
    return _pieces(stream, int(length))


def _pieces(stream: io.BufferedIOBase, left: int) -> Iterator[bytes]:
    while left:
        data = stream.read1(min(left, _PIECE_BYTES))
        if not data:
            raise Dropped
        left -= len(data)
        yield data


def _chunks(stream: io.BufferedIOBase, left: int) -> Iterator[bytes]:
    """Read chunks (RFC 9112 7.1); extensions and trailers are stepped over."""
    while True:
        size_text = _line(stream).partition(b";")[0].strip()
        try:
            size = int(size_text, 16) if size_text.isalnum() else -1
        except ValueError:
            size = -1
        if size < 0:
            raise BadLength
        if size > left:
            raise TooLarge
        if size == 0:
            break
        left -= size
        yield from _pieces(stream, size)
        if _line(stream):
            raise BadLength
    for _ in range(_MOST_TRAILERS):
        if not _line(stream):
            return
    raise BadLength


def _line(stream: io.BufferedIOBase) -> bytes:
    line = stream.readline(_LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise BadLength if len(line) == _LONGEST_LINE else Dropped
    return line.rstrip(b"\r\n")
