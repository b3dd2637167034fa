"""From a request's body to its images, with limits on size, number and the sender's slowness. All of it in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from email.message import Message
from http import HTTPStatus
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from consumers.door.room import Place
from consumers.door.terms import DoorTerms
from consumers.door.words import Problem

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MULTIPART = frozenset({"multipart/form-data", "multipart/related"})
PLAIN = frozenset({"application/dicom", "application/octet-stream", "image/png", "image/jpeg"})


class SenderGone(Exception):
    """The sender went away: nobody waits for an answer."""


class Parts:
    """Takes a multipart body piece by piece (RFC 2046 5.1): each part is an image, whatever its headers say."""

    def __init__(self, boundary: bytes, place: Place, most: int) -> None:
        self._place = place
        self._most = most
        self._ended = False
        self._images: list[bytearray] = []
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_part_data": lambda data, start, end: self._images[-1].extend(memoryview(data)[start:end]),
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise _no_multipart() from error

    def feed(self, data: bytes) -> None:
        """Take bytes of the body; raise Problem."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _no_multipart() from error

    def images(self) -> list[bytearray]:
        """Give the images; raise Problem when the closing delimiter was missing."""
        if not self._ended:
            raise _no_multipart()
        return self._images

    def _begin(self) -> None:
        if len(self._images) >= self._most:
            raise _too_many(self._most)
        self._place.image()
        self._images.append(bytearray())

    def _end(self) -> None:
        self._ended = True


async def images_of(
    headers: Mapping[str, str], receive: Receive, place: Place, terms: DoorTerms, most: int
) -> list[bytearray]:
    """Read a body whole and give its images, from one to `most`; raise Problem, or SenderGone.

    What speaks against it by its headers is said before a byte of the body is read.
    """
    kind, boundary = _kind(headers.get("content-type", ""))
    if kind not in PLAIN | MULTIPART:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type must be one of {', '.join(sorted(PLAIN | MULTIPART))}.",
        )
    if kind in MULTIPART and not boundary:
        raise _no_multipart()
    whole = bytearray()
    parts = Parts(boundary, place, most) if kind in MULTIPART else None
    if parts is None:
        place.image()
    async for piece in _pieces(headers, receive, place, terms):
        if parts is None:
            whole += piece
        else:
            parts.feed(piece)
    images = [whole] if parts is None else parts.images()
    if not images:
        raise Problem(HTTPStatus.BAD_REQUEST, "The body holds no image.")
    return images


async def _pieces(headers: Mapping[str, str], receive: Receive, place: Place, terms: DoorTerms) -> AsyncIterator[bytes]:
    """Give a body piece by piece; its memory is taken before it comes, where its length is told."""
    told = int(headers["content-length"]) if "content-length" in headers else None
    if told is not None and told > terms.request_bytes:
        raise _too_large(terms)
    place.bytes(told or 0)
    loop = asyncio.get_running_loop()
    deadline, read, more = loop.time() + terms.sender_seconds, 0, True
    while more:
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + terms.idle_seconds)):
                message = await receive()
        except TimeoutError as error:
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, "The body did not come in time.") from error
        if message["type"] == "http.disconnect":
            raise SenderGone
        piece = message.get("body", b"")
        more = message.get("more_body", False)
        read += len(piece)
        if read > terms.request_bytes:
            raise _too_large(terms)
        if told is None:
            place.bytes(len(piece))
        yield piece


def _kind(content_type: str) -> tuple[str, bytes]:
    """Give a media type, in lower case, and its boundary.

    >>> _kind('Multipart/Form-Data; boundary="a b"')
    ('multipart/form-data', b'a b')
    """
    header = Message()
    header["content-type"] = content_type or "none/none"
    return header.get_content_type(), str(header.get_boundary("")).encode("latin-1", "replace")


def _no_multipart() -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "The body is not the multipart that its Content-Type says.")


def _too_many(most: int) -> Problem:
    status = HTTPStatus.BAD_REQUEST if most == 1 else HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return Problem(status, f"The body holds more than {most} image{'s' * (most > 1)}.")


def _too_large(terms: DoorTerms) -> Problem:
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is over {terms.request_bytes} bytes.")
