"""Where the door is and what it takes."""

from dataclasses import dataclass
from pathlib import Path

from consumers.door.desk import Shares
from radstream.logs import get_log
from radstream.settings import Settings
from schemas.errors import SettingInvalid

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
#: Bodies in hand take at most this many times the largest request.
_REQUESTS_IN_MEMORY = 2
#: Connections for each image that may be in hand, idle ones included.
_CONNECTIONS_PER_IMAGE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorTerms:
    """The door's place and limits."""

    address: str
    port: int
    tokens: Path | None  # None: everybody on this machine
    request_bytes: int  # largest body of a request
    pending_bytes: int  # all bodies in hand
    images: int  # in hand at one time (count)
    connections: int  # at one time (count)
    answer_seconds: float  # from a whole body to its answer
    idle_seconds: float  # longest silence of a sender
    sender_seconds: float  # longest time for a whole request
    shares: Shares


def door_terms(settings: Settings) -> DoorTerms:
    """Give the door's terms; raise SettingInvalid for one that stands open beyond loopback.

    One decoder is always left to the lanes, where there are two: an image that keeps a decoder busy until its time-out
    holds up no image from the log.
    """
    if settings.predict_tokens is None:
        if settings.predict_address not in _LOOPBACK:
            raise SettingInvalid(
                f"RADSTREAM_PREDICT_ADDRESS={settings.predict_address} without RADSTREAM_PREDICT_TOKENS: beyond "
                "loopback name a file of tokens (`python -m consumers.door.tokens NAME`), and put a proxy that speaks "
                "TLS before the port"
            )
        get_log().warning("prediction door takes images from everybody on this machine", port=settings.predict_port)
    decoding = max(1, settings.decode_workers - 1)
    return DoorTerms(
        address=settings.predict_address,
        port=settings.predict_port,
        tokens=settings.predict_tokens,
        request_bytes=settings.predict_request_bytes,
        pending_bytes=_REQUESTS_IN_MEMORY * settings.predict_request_bytes,
        images=settings.predict_images,
        connections=_CONNECTIONS_PER_IMAGE * settings.predict_images,
        answer_seconds=settings.predict_seconds,
        idle_seconds=settings.predict_idle_seconds,
        sender_seconds=settings.predict_sender_seconds,
        shares=Shares(decoding=decoding, under_way=decoding + 2, decode_seconds=settings.predict_seconds),
    )
