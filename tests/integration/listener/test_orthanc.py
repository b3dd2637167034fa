"""Orthanc as a sender that asks for storage commitment: another implementation's reading of the standard."""

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dicom_listener.commitment.words import FailureReason
from dicom_listener.standard.part10 import preamble_and_meta
from tests.integration.listener.conftest import Listening
from tests.integration.listener.films import Film, film
from tests.integration.listener.raw_scu import CHEST, EXPLICIT
from tests.running import until, unused_port

pytestmark = pytest.mark.stack

TITLE = "ORTHANC"


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc that knows our listener."""

    http_port: int

    def ask(self, path: str, content: object = None) -> Any:
        """Call its REST interface: GET, or POST where there is content."""
        data = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data)  # type: ignore[arg-type]
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback, by HTTP
            return json.loads(answer.read())

    def alive(self) -> bool:
        """Say whether it answers."""
        try:
            return bool(self.ask("/system"))
        except OSError:
            return False

    def commit(self, *films: Film) -> dict[str, Any]:
        """Send films by C-STORE, ask for their commitment, and give the report that came."""
        files = [preamble_and_meta(CHEST, one.uid, EXPLICIT) + one.data() for one in films]
        resources = [self.ask("/instances", file)["ID"] for file in files]
        self.ask("/modalities/radstream/store", {"Resources": resources, "Synchronous": True})
        asked = self.ask("/modalities/radstream/storage-commitment", {"Resources": resources})
        until(lambda: self.ask(asked["Path"])["Status"] != "Pending", 60, "no report came")
        return dict(self.ask(asked["Path"]))


@contextmanager
def orthanc(folder: Path, listener_port: int, dicom_port: int) -> Iterator[Orthanc]:
    """Run Orthanc with a store of its own."""
    http_port = unused_port()
    settings = {
        "StorageDirectory": str(folder),
        "IndexDirectory": str(folder),
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": TITLE,
        "DicomPort": dicom_port,
        "DicomModalities": {
            "radstream": {
                "AET": "RADSTREAM",
                "Host": "127.0.0.1",
                "Port": listener_port,
                "AllowStorageCommitment": True,
            }
        },
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)
    running = Orthanc(http_port)
    try:
        until(running.alive, 60, "Orthanc does not answer")
        yield running
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize(
    ("environment", "status", "reasons"),
    [
        ({}, "Failure", [FailureReason.PROCESSING_FAILURE] * 2),
        ({"RADSTREAM_COMMITMENT": "archive", "RADSTREAM_S3_DURABLE": "1"}, "Success", []),
    ],
)
def test_orthanc_gets_its_report(
    environment: dict[str, str], status: str, reasons: list[int], listen: Callable[..., Listening], tmp_path: Path
) -> None:
    """By default it must keep its images; from an archive it hears that it may delete them."""
    dicom_port = unused_port()
    listening = listen(RADSTREAM_COMMITMENT_PEERS=f"{TITLE}=127.0.0.1:{dicom_port}", **environment)
    one, other = film(), film()
    folder = tmp_path / "orthanc"
    folder.mkdir()

    with orthanc(folder, listening.port, dicom_port) as sender:
        report = sender.commit(one, other)

    assert report["Status"] == status
    assert report["RemoteAET"] == "RADSTREAM"
    assert [failure["FailureReason"] for failure in report["Failures"]] == reasons
    assert len(listening.events(one, other)) == 2
