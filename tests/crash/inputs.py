"""What a hostile or broken peer may send (PS3.8 section 9): grammar bent a little, recordings cut up, and noise."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from hypothesis import strategies as st

from dicom_listener.standard.command_set import StoreRequest
from tests.integration.listener.films import Film
from tests.integration.listener.raw_scu import (
    ABORT,
    CHEST,
    EXPLICIT,
    P_DATA,
    RELEASE_RQ,
    VERIFICATION,
    associate_rq,
    element,
    pdu,
    store_command,
)

IMPLICIT, JPEG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50"
COMMITMENT = "1.2.840.10008.1.20.1"
#: Contexts 1, 3, 5, 7: two of storage, C-ECHO's and storage commitment's.
CONTEXTS = ((CHEST, EXPLICIT), (VERIFICATION, IMPLICIT), (CHEST, JPEG), (COMMITMENT, IMPLICIT))
FILM = Film(uid="1.2.826.0.1.3680043.8.498.5.1", study_uid="1.2.826.0.1.3680043.8.498.5")
DATA_SET = FILM.data(Rows=2, Columns=2, PixelData=bytes(8))
LONG_LENGTHS = (0, 1, 5, 131072, 131073, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
_LONGEST_NOISE = 600


class End(Enum):
    """How the peer goes."""

    HALF_CLOSE = auto()  # it has said everything, and listens for the end
    CLOSE = auto()
    RESET = auto()


@dataclass(frozen=True)
class Conversation:
    """What a peer sends: whether it waits for the answer to its first PDU, and in which pieces the rest goes."""

    opening: bytes
    waits: bool
    pieces: Sequence[bytes]
    end: End

    def __repr__(self) -> str:
        """Show it as code, so that a failing one becomes an example of the test."""
        pieces = ", ".join(f'bytes.fromhex("{piece.hex()}")' for piece in self.pieces)
        return f'Conversation(bytes.fromhex("{self.opening.hex()}"), {self.waits}, [{pieces}], {self.end})'


def _echo() -> bytes:
    body = element(0x0002, VERIFICATION.encode() + b"\0") + b"".join(
        element(number, struct.pack("<H", value)) for number, value in ((0x0100, 0x30), (0x0110, 7), (0x0800, 0x0101))
    )
    return element(0, struct.pack("<I", len(body))) + body


def _without_data_set(field: int) -> bytes:
    """Write the command set of any service that says no data set follows, or that lies about it."""
    return _echo().replace(struct.pack("<H", 0x30), struct.pack("<H", field), 1)


COMMANDS = (
    _echo(),
    store_command(StoreRequest(1, CHEST, FILM.uid, 0)),
    store_command(StoreRequest(2, CHEST, "1." + "9" * 70, 0)),
    store_command(StoreRequest(3, VERIFICATION, "../../x", 1)),
    *(_without_data_set(field) for field in (0x01, 0x20, 0x21, 0x0130, 0x0FFF, 0x8001, 0x8030, 0xFFFF)),
)

_noise = st.binary(max_size=_LONGEST_NOISE)
_bodies = st.one_of(
    st.sampled_from(COMMANDS),
    st.sampled_from(COMMANDS).flatmap(lambda body: st.integers(0, len(body)).map(lambda at: body[:at])),
    st.just(DATA_SET),
    st.integers(0, len(DATA_SET)).map(lambda at: DATA_SET[:at]),
    _noise,
)
_context_ids = st.one_of(st.sampled_from((1, 3, 5, 7)), st.integers(0, 255))
_controls = st.one_of(st.integers(0, 3), st.integers(0, 255))


@st.composite
def _pdv(draw: st.DrawFn) -> bytes:
    body = draw(_bodies)
    lie = draw(st.one_of(st.none(), st.none(), st.none(), st.sampled_from(LONG_LENGTHS), st.integers(0, 2000)))
    return struct.pack(">IBB", len(body) + 2 if lie is None else lie, draw(_context_ids), draw(_controls)) + body


@st.composite
def _any_pdu(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from((P_DATA, P_DATA, P_DATA, P_DATA, RELEASE_RQ, ABORT, 1, 2, 3, 6, 0, 8, 255)))
    body = (
        b"".join(draw(st.lists(_pdv(), max_size=4))) if kind == P_DATA else draw(st.one_of(st.just(bytes(4)), _noise))
    )
    lie = draw(st.one_of(st.none(), st.none(), st.none(), st.sampled_from(LONG_LENGTHS), st.integers(0, 2000)))
    return struct.pack(">BBI", kind, 0, len(body) if lie is None else lie) + body


def _store(context: int, pieces: int) -> bytes:
    """Write a good C-STORE whose data set comes in several PDVs."""
    command = store_command(StoreRequest(9, CHEST, FILM.uid, 0))
    step = max(1, len(DATA_SET) // pieces)
    parts = [DATA_SET[at : at + step] for at in range(0, len(DATA_SET), step)]
    values = [(3, command), *((0, part) for part in parts[:-1]), (2, parts[-1])]
    return b"".join(
        pdu(P_DATA, struct.pack(">IBB", len(value) + 2, context, control) + value) for control, value in values
    )


_stores = st.builds(_store, st.sampled_from((1, 5, 3, 9)), st.integers(1, 20))
_bent = st.lists(st.one_of(_any_pdu(), _any_pdu(), _stores), min_size=1, max_size=6).map(b"".join)


@st.composite
def _mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """Change a stream of bytes in a few places."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        long = draw(st.sampled_from((1, 1, 2, 4, 6, 20, 300)))
        match draw(st.integers(0, 4)):
            case 0:
                data[at : at + long] = draw(st.binary(min_size=long, max_size=long))
            case 1:
                del data[at : at + long]
            case 2:
                data[at:at] = data[at : at + long]
            case 3:
                data[at : at + 4] = draw(st.sampled_from(LONG_LENGTHS)).to_bytes(4, "big")
            case _:
                del data[at:]
    return bytes(data)


@st.composite
def _pieces(draw: st.DrawFn, data: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3)))
    return [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if begin < end]


def conversations(recordings: Sequence[bytes]) -> st.SearchStrategy[Conversation]:
    """Make conversations; `recordings` are what real peers sent, whole sessions from the A-ASSOCIATE-RQ on."""
    good = associate_rq(CONTEXTS)
    sessions = st.sampled_from([_split(one) for one in recordings])
    ends = st.sampled_from(End)
    return st.one_of(
        st.builds(Conversation, st.just(good), st.just(True), _bent.flatmap(_pieces), ends),
        st.builds(Conversation, st.just(good), st.just(True), _bent.flatmap(_mutated).flatmap(_pieces), ends),
        st.builds(Conversation, _mutated(good), st.booleans(), _stores.flatmap(_pieces), ends),
        sessions.flatmap(
            lambda one: st.builds(Conversation, st.just(one[0]), st.just(True), _mutated(one[1]).flatmap(_pieces), ends)
        ),
        sessions.flatmap(lambda one: st.builds(Conversation, _mutated(one[0]), st.booleans(), _pieces(one[1]), ends)),
        st.builds(Conversation, _noise, st.booleans(), st.lists(_noise, max_size=2), ends),
    )


def _split(session: bytes) -> tuple[bytes, bytes]:
    end = 6 + int.from_bytes(session[2:6], "big")
    return session[:end], session[end:]
