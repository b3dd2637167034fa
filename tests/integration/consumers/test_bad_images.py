"""Each bad image of INTERFACE.md, seen from the consumers: its reason, its dead letter, and the next image passes."""

from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import numpy as np
import pytest
from pydicom.uid import JPEGLSLossless

from schemas.identity import data_set_hasher
from schemas.instance_received import InstanceReceived
from schemas.topics import RECEIVED_ROUTINE
from schemas.words import Lane, Reason, ReviewReason
from tests.integration.consumers.conftest import Made
from tests.integration.consumers.films import film
from tests.publishing import Sender, part10
from tests.running import Service

pytestmark = pytest.mark.stack


def _truncated(sender: Sender) -> InstanceReceived:
    data = film(syntax=JPEGLSLossless)
    return sender.send(data, body=part10(data)[1][:20_000])


def _unknown_syntax(sender: Sender) -> InstanceReceived:
    data = film()
    known, unknown = str(data.file_meta.TransferSyntaxUID), "1.2.840.99999.1.2.1"
    assert len(known) == len(unknown)
    event, whole = sender.event(data, Lane.ROUTINE)
    hasher = data_set_hasher(unknown)
    hasher.update(part10(data)[1])
    event = replace(event, transfer_syntax_uid=unknown, sha256=hasher.hexdigest())
    sender.put(event, whole.replace(known.encode(), unknown.encode(), 1))
    sender.publish(event)
    return event


def _corrupt(sender: Sender) -> InstanceReceived:
    event, whole = sender.event(film(), Lane.ROUTINE)
    sender.put(event, whole[:-1] + bytes([whole[-1] ^ 1]))
    sender.publish(event)
    return event


def _missing(sender: Sender) -> InstanceReceived:
    return sender.send(film(), store=False)


def _send(**changed: object) -> Callable[[Sender], InstanceReceived]:
    return lambda sender: sender.send(film(**changed))  # type: ignore[arg-type]


#: What goes in; outcome, reason and cause of the dead letter that come out.
ROWS: dict[str, tuple[Callable[[Sender], InstanceReceived], str, str | None, str | None]] = {
    "good": (_send(), "evaluated", None, None),
    "truncated pixels": (_truncated, "not_evaluated", "undecodable", "undecodable"),
    "unknown transfer syntax": (_unknown_syntax, "not_evaluated", "unsupported_transfer_syntax", None),
    "no pixel data": (_send(PixelData=None), "not_evaluated", "no_pixels", None),
    "0 x 0": (_send(Rows=0, Columns=0), "not_evaluated", "no_pixels", None),
    "1 bit": (_send(BitsAllocated=1, BitsStored=1, HighBit=0), "not_evaluated", "unsupported_pixels", None),
    "palette": (_send(PhotometricInterpretation="PALETTE COLOR"), "not_evaluated", "unsupported_pixels", None),
    "colour": (
        _send(PhotometricInterpretation="RGB", SamplesPerPixel=3), "not_evaluated", "unsupported_pixels", None,
    ),
    "multi-frame": (_send(NumberOfFrames=2), "not_evaluated", "multi_frame", None),
    "lateral": (_send(ViewPosition="LL"), "not_evaluated", "view", None),
    "other modality": (_send(Modality="CT"), "not_evaluated", "modality", None),
    "other body part": (_send(BodyPartExamined="KNEE"), "not_evaluated", "body_part", None),
    "object missing": (_missing, "not_evaluated", "object_missing", "object_missing"),
    "object corrupt": (_corrupt, "not_evaluated", "object_corrupt", "object_corrupt"),
}  # fmt: skip


def test_every_bad_image_ends_in_its_reason(service: Callable[..., Service], sender: Sender, made: Made) -> None:
    """One result each with the right code, a dead letter only where something failed, and nothing stops."""
    inference = service("inference")

    sent = {name: send(sender).event_id for name, (send, *_) in ROWS.items()}
    after = sender.send(film()).event_id
    results = {one.event_id: one for one in made.wait([*sent.values(), after])}
    letters = {one.event_id: one.cause for one in made.letters(sent.values())}

    found = {name: (results[event].outcome, results[event].reason, letters.get(event)) for name, event in sent.items()}
    assert found == {name: tuple(row[1:]) for name, row in ROWS.items()}
    assert results[after].outcome == "evaluated"
    assert inference.running


def test_missing_scope_tags_are_evaluated_and_looked_at(
    service: Callable[..., Service], sender: Sender, made: Made
) -> None:
    """Tags that are absent rule nothing out."""
    service("inference")

    event = sender.send(film(Modality=None)).event_id

    (result,) = made.wait([event])
    assert (result.outcome, result.needs_review) == ("evaluated", True)


def test_a_message_that_is_no_event_is_sealed_and_the_next_passes(
    service: Callable[..., Service], sender: Sender, made: Made
) -> None:
    """Its bytes can only be read with the vault's key."""
    service("inference")

    value = f"DOE^JANE is no Avro {uuid4()}".encode()
    sender.publish_bytes(RECEIVED_ROUTINE, b"study", value)
    event = sender.send(film()).event_id

    assert made.wait([event])[0].outcome == "evaluated"
    found = made.opened_letter(value)
    assert (found.cause, found.encrypted, b"DOE" in found.original) == ("undecodable_message", True, False)


def test_a_poor_film_says_what_is_wrong_with_it(service: Callable[..., Service], sender: Sender, made: Made) -> None:
    """Turned and clipped ones are evaluated and flagged, one of a single level is not evaluated; each with its code."""
    service("inference")
    turned, clipped, empty = film(), film(), film()
    pixels = np.rot90(turned.pixel_array).copy()
    turned.Rows, turned.Columns = pixels.shape
    turned.PixelData = pixels.tobytes()
    clipped.WindowWidth = str(float(clipped.WindowWidth) / 8)
    empty.PixelData = np.full_like(empty.pixel_array, int(empty.pixel_array.mean())).tobytes()

    sent = {name: sender.send(one).event_id for name, one in {"t": turned, "c": clipped, "e": empty}.items()}
    by_event = {one.event_id: one for one in made.wait(list(sent.values()))}

    found = {name: by_event[event] for name, event in sent.items()}
    assert {name: (one.outcome, one.needs_review) for name, one in found.items()} == {
        "t": ("evaluated", True),
        "c": ("evaluated", True),
        "e": ("not_evaluated", True),
    }
    assert ReviewReason.ROTATED in found["t"].review_reasons
    assert ReviewReason.CLIPPED in found["c"].review_reasons
    assert (found["e"].reason, ReviewReason.LOW_CONTRAST in found["e"].review_reasons) == (Reason.QUALITY, True)
    assert found["t"].quality["rotated"] > 0
    assert 0 <= (found["t"].uncertainty or 0) <= 1
    assert found["t"].out_of_distribution is not None
