"""STOW-RS (PS3.18 10.5): the same promises as C-STORE's, by HTTP."""

import http.client
import json
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient

from dicom_listener.standard.part10 import preamble_and_meta
from dicom_listener.standard.statuses import StoreStatus
from dicom_listener.stow.words import StowFailure
from schemas.words import Lane
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import Film, film
from tests.integration.listener.raw_scu import CHEST, EXPLICIT
from tests.running import until, unused_port

pytestmark = pytest.mark.stack

BOUNDARY = "a-boundary-of-ours"
TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
MIB = 1024 * 1024
GROWTH_LIMIT_MIB = 64
CLASSES, INSTANCES, REASON = "00081150", "00081155", "00081197"
FAILED, STORED, OTHERS = "00081198", "00081199", "0008119A"


@pytest.fixture(scope="module")
def door(module_listen: Callable[..., Listening]) -> tuple[Listening, int]:
    """Give a listener and the port of its web door."""
    port = unused_port()
    return module_listen(RADSTREAM_STOW_PORT=str(port)), port


def part10(one: Film, data: bytes | None = None, sop_class: str = CHEST, syntax: str = EXPLICIT) -> bytes:
    """Give a film as a Part 10 file."""
    return preamble_and_meta(sop_class, one.uid, syntax) + (one.data() if data is None else data)


def multipart(*files: bytes, end: bool = True) -> bytes:
    """Wrap files into a body; without `end` its closing delimiter is missing."""
    parts = [f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + file + b"\r\n" for file in files]
    return b"".join(parts) + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


def post(
    port: int, body: object, path: str = "/studies", method: str = "POST", **headers: str
) -> tuple[int, dict[str, str], dict[str, list[dict[str, list[object]]]]]:
    """Send a request; give status, headers, and the response's sequences with their items' values."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    given = {"Content-Type": TYPE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, body, given)  # type: ignore[arg-type]
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    module = json.loads(content) if content else {}
    sequences = {
        tag: [{name: element.get("Value", []) for name, element in item.items()} for item in element["Value"]]
        for tag, element in module.items()
        if element["vr"] == "SQ"
    }
    return answer.status, dict(answer.getheaders()), sequences


def reasons(sequences: dict[str, list[dict[str, list[object]]]]) -> dict[object, object]:
    """Give the failure reason of each instance that failed."""
    return {item[INSTANCES][0]: item[REASON][0] for item in sequences.get(FAILED, [])}


def test_dicomweb_client_stores_a_study(door: tuple[Listening, int]) -> None:
    """Each instance is referenced in the response, and is one event from our web sender."""
    listening, port = door
    one = film()
    other = film(one.study_uid)
    client = DICOMwebClient(f"http://127.0.0.1:{port}")

    data_sets = [pydicom.dcmread(pydicom.filebase.DicomBytesIO(part10(each))) for each in (one, other)]
    response = client.store_instances(data_sets, study_instance_uid=one.study_uid)

    listening.wait_empty()
    assert {item.ReferencedSOPInstanceUID for item in response.ReferencedSOPSequence} == {one.uid, other.uid}
    assert [event.calling_ae for event in listening.events(one)] == ["STOWRS", "STOWRS"]
    assert {event.lane for event in listening.events(one)} == {Lane.ROUTINE}


def test_curl_sends_chunks_after_100_continue_into_the_stat_lane(door: tuple[Listening, int], tmp_path: Path) -> None:
    """`?lane=stat` goes before the routes; a body without a length is taken as it comes."""
    listening, port = door
    one = film()
    (tmp_path / "body").write_bytes(multipart(part10(one)))

    sent = subprocess.run(
        [
            *("curl", "-sv", "--fail-with-body", "-X", "POST", f"http://127.0.0.1:{port}/studies?lane=stat"),
            *("-H", f"Content-Type: {TYPE}", "-H", "Expect: 100-continue", "-H", "Transfer-Encoding: chunked"),
            *("--data-binary", f"@{tmp_path / 'body'}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert sent.returncode == 0, sent.stderr
    assert "100 Continue" in sent.stderr
    assert json.loads(sent.stdout)[STORED]["Value"][0][INSTANCES]["Value"] == [one.uid]
    (event,) = listening.events(one)
    assert event.lane is Lane.STAT


def test_the_same_image_by_both_doors_is_one_image(door: tuple[Listening, int]) -> None:
    """Preamble and file meta are the sender's own: what they hold makes no other image."""
    listening, port = door
    one = film()
    assert listening.send(one) == StoreStatus.SUCCESS
    file = b"ours" * 32 + part10(one)[128:]

    status, _, _ = post(port, multipart(file))

    listening.wait_empty()
    assert status == 200
    assert len(listening.events(one)) == 1


def test_each_instance_has_an_outcome_of_its_own(door: tuple[Listening, int]) -> None:
    """202: what could be stored is, and every failure has its reason; 409 where all failed."""
    listening, port = door
    good, unparsable, mismatched, foreign, odd = (film() for _ in range(5))
    bad = [
        part10(unparsable, unparsable.data()[:100]),
        part10(mismatched, film().data()),
        part10(foreign, sop_class="1.2.840.10008.5.1.4.31"),
        part10(odd, syntax="1.2.3.4"),
        b"no file at all",
    ]

    status, _, some = post(port, multipart(part10(good), *bad))
    nothing, _, all_of_them = post(port, multipart(*bad))

    assert status == 202
    assert [item[INSTANCES] for item in some[STORED]] == [[good.uid]]
    assert reasons(some) == {
        unparsable.uid: StowFailure.CANNOT_UNDERSTAND,
        mismatched.uid: StowFailure.DATA_SET_DOES_NOT_MATCH,
        foreign.uid: StowFailure.SOP_CLASS_NOT_SUPPORTED,
        odd.uid: StowFailure.TRANSFER_SYNTAX_NOT_SUPPORTED,
    }
    assert some[OTHERS] == [{REASON: [StowFailure.CANNOT_UNDERSTAND]}]
    assert nothing == 409
    assert STORED not in all_of_them
    listening.wait_empty()
    assert len(listening.events(good, unparsable, mismatched, foreign, odd)) == 1


def test_an_instance_of_another_study_is_not_stored(door: tuple[Listening, int]) -> None:
    """The study of the URL is the only one that the request may add to."""
    listening, port = door
    one, stranger = film(), film()

    status, _, sequences = post(port, multipart(part10(one), part10(stranger)), f"/studies/{one.study_uid}")

    assert status == 202
    assert reasons(sequences) == {stranger.uid: StowFailure.DATA_SET_DOES_NOT_MATCH}
    listening.wait_empty()
    assert listening.events(stranger) == []


REFUSED: dict[str, tuple[dict[str, object], int]] = {
    "another path": ({"path": "/series"}, 404),
    "a study that is no UID": ({"path": "/studies/..%2F1"}, 400),
    "another lane": ({"path": "/studies?lane=fast"}, 400),
    "another method": ({"method": "PUT"}, 405),
    "XML wanted": ({"Accept": "application/dicom+xml"}, 406),
    "metadata": ({"Content_Type": TYPE.replace("dicom", "dicom+json")}, 415),
    "one file alone": ({"Content_Type": "application/dicom"}, 415),
    "no boundary": ({"Content_Type": TYPE.partition("; boundary")[0]}, 400),
    "another boundary": ({"Content_Type": TYPE + "s"}, 400),
    "no end": ({"body": multipart(b"x", end=False)}, 400),
    "no part": ({"body": f"--{BOUNDARY}--\r\n".encode()}, 400),
    "a length that is none": ({"Content_Length": "-1", "body": b""}, 400),
    "a length over the limit": ({"Content_Length": str(1 << 50), "body": b""}, 413),
    "another coding": ({"Transfer_Encoding": "gzip", "body": b""}, 400),
    "a chunk that is none": ({"Transfer_Encoding": "chunked", "body": b"zz\r\n"}, 400),
    "a chunk over the limit": ({"Transfer_Encoding": "chunked", "body": b"fffffffffffff\r\n"}, 413),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_wrong_request_is_told_what_is_wrong(fault: str, door: tuple[Listening, int]) -> None:
    """Each fault has its status, nothing is stored, and the next request is served."""
    listening, port = door
    request, expected = REFUSED[fault]
    one = film()

    status, _, _ = post(port, **{"body": multipart(part10(one)), **request})  # type: ignore[arg-type]

    assert status == expected
    assert not listening.events(one)
    assert not listening.waiting()


def test_a_body_without_a_length_or_chunks_is_refused(door: tuple[Listening, int]) -> None:
    """411: nobody could tell where it ends."""
    _, port = door

    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(f"POST /studies HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPE}\r\n\r\n".encode())
        answer = connection.recv(1000)

    assert answer.startswith(b"HTTP/1.1 411 ")


def begin(port: int, body: bytes, missing: int) -> socket.socket:
    """Send a request whose last bytes are missing."""
    connection = socket.create_connection(("127.0.0.1", port), 60)
    head = f"POST /studies HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPE}\r\nContent-Length: {len(body) + missing}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def test_a_sender_that_goes_away_leaves_what_was_whole(door: tuple[Listening, int]) -> None:
    """The part in hand leaves nothing; the one before it arrived whole and is kept, as after a C-STORE."""
    listening, port = door
    whole, half = film(), film()
    body = multipart(part10(whole), part10(half)[:-100], end=False)

    connection = begin(port, body, 1000)
    until(lambda: list(listening.spool.glob("*/*.part")), 30, "nothing arrived")
    connection.close()

    until(lambda: not listening.waiting(), 30, "something is left")
    assert len(listening.events(whole)) == 1
    assert listening.events(half) == []


def test_a_body_that_ends_too_early_is_no_success(door: tuple[Listening, int]) -> None:
    """400: the length was kept, a part came whole and another began; what came whole is kept all the same."""
    listening, port = door
    whole, half = film(), film()

    status, _, sequences = post(port, multipart(part10(whole), part10(half)[:-100], end=False))

    assert (status, sequences) == (400, {})
    until(lambda: not listening.waiting(), 30, "something is left")
    assert len(listening.events(whole)) == 1
    assert listening.events(half) == []


def test_silent_senders_and_too_many_are_turned_away(module_listen: Callable[..., Listening]) -> None:
    """One request at a time: the next gets 503 and when to come again; a silent one gets 408 and leaves nothing."""
    port = unused_port()
    listening = module_listen(
        RADSTREAM_STOW_PORT=str(port),
        RADSTREAM_STOW_REQUESTS="1",
        RADSTREAM_STOW_IDLE_SECONDS="5",
        RADSTREAM_STOW_TOKEN="secret",
    )
    one = film()
    allowed = {"Authorization": "Bearer secret"}
    body = multipart(part10(one))

    assert post(port, body)[0] == post(port, body, Authorization="Bearer other")[0] == 401
    with socket.create_connection(("127.0.0.1", port), 60) as silent:
        head = f"POST /studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\nContent-Type: {TYPE}\r\n"
        silent.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:-100])
        until(lambda: list(listening.spool.glob("*/*.part")), 30, "nothing arrived")
        busy, headers, _ = post(port, body, **allowed)
        late = silent.recv(1000)

    assert busy == 503
    assert int(headers["Retry-After"]) > 0
    assert late.startswith(b"HTTP/1.1 408 ")
    assert not listening.waiting()
    assert post(port, body, **allowed)[0] == 200


def test_over_the_watermark_requests_are_put_off(module_listen: Callable[..., Listening]) -> None:
    """503 and when to come again, before the body is read."""
    port = unused_port()
    listening = module_listen(
        RADSTREAM_STOW_PORT=str(port), RADSTREAM_SPOOL_SHED_PERCENT="0.001", RADSTREAM_SPOOL_REFUSE_PERCENT="0.001"
    )
    one = film()

    status, headers, _ = post(port, multipart(part10(one)))
    with socket.create_connection(("127.0.0.1", port), 30) as polite:
        head = f"POST /studies HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPE}\r\nContent-Length: 1000\r\n"
        polite.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        answer = polite.recv(1000)

    assert status == 503
    assert int(headers["Retry-After"]) > 0
    assert answer.startswith(b"HTTP/1.1 503 ")  # and not 100 Continue before it
    assert listening.events(one) == []


def test_memory_does_not_grow_with_the_part(door: tuple[Listening, int]) -> None:
    """256 MiB in one part: under 64 MiB of growth, the whole of it received."""
    listening, port = door
    post(port, multipart(part10(film())))
    one = film()
    size = 256 * MIB
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, size)
    head = f"--{BOUNDARY}\r\n\r\n".encode() + part10(one, one.data(PixelData=b"")[:-12] + pixels)
    worker, _ = listening.service.workers()  # the first has the door
    before = _peak_mib(worker)

    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(size // MIB):
            yield bytes(MIB)
        yield f"\r\n--{BOUNDARY}--".encode()

    status, _, _ = post(port, pieces())

    assert status == 200
    listening.wait_empty(120)
    (event,) = listening.events(one)
    assert event.size_bytes > size
    assert _peak_mib(worker) - before < GROWTH_LIMIT_MIB
    listening.lose_object(event)


def _peak_mib(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
