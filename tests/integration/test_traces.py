"""One image's way from C-STORE to its row, as a collector sees it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE

from tests.collector import Collector
from tests.integration.consumers.films import film
from tests.running import Service, until, unused_port

pytestmark = pytest.mark.stack

COMPLETED, ROUTINE = "inference.completed", "imaging.instance-received.routine"

#: Each span of an image, by service and name, and the one that it hangs from.
WAY = {
    ("dicom_listener", "receive image"): None,
    ("dicom_listener", "journal"): ("dicom_listener", "receive image"),
    ("dicom_listener", "put"): ("dicom_listener", "receive image"),
    ("dicom_listener", "publish"): ("dicom_listener", "receive image"),
    ("inference", f"process {ROUTINE}"): ("dicom_listener", "publish"),
    ("inference", "fetch"): ("inference", f"process {ROUTINE}"),
    ("inference", "decode"): ("inference", f"process {ROUTINE}"),
    ("inference", "batch"): ("inference", f"process {ROUTINE}"),
    ("inference", "forward"): ("inference", f"process {ROUTINE}"),
    ("inference", "commit"): ("inference", f"process {ROUTINE}"),
    ("inference", f"publish {COMPLETED}"): ("inference", f"process {ROUTINE}"),
    ("sink", f"process {COMPLETED}"): ("inference", f"publish {COMPLETED}"),
    ("sink", "commit"): ("sink", f"process {COMPLETED}"),
}


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Give a collector."""
    one = Collector()
    yield one
    one.close()


def test_one_image_is_one_trace_from_the_listener_to_the_sink(
    service: Callable[..., Service], collector: Collector, tmp_path: Path
) -> None:
    """Every span has its parent, in one trace; transactions are linked with it; nothing names the patient."""
    told = {"RADSTREAM_OTLP_ENDPOINT": collector.address}
    port = unused_port()
    service("sink", **told)
    service("inference", **told)
    service(
        "dicom_listener", RADSTREAM_DICOM_PORT=str(port), RADSTREAM_SPOOL_DIR=str(tmp_path / "spool"),
        RADSTREAM_LISTENER_SLOT=f"test-{port}", **told,
    )  # fmt: skip
    data = film()

    store(data, port)

    until(lambda: collector.names() >= WAY.keys(), 90, f"spans are missing: {WAY.keys() - collector.names()}")
    ours = [(name, span) for name, span in collector.spans if span.name != "transaction"]
    (trace,) = {span.trace_id for _, span in ours}
    by_id = {span.span_id: (name, span.name) for name, span in ours}
    assert len(by_id) == len(ours) == len(WAY)
    assert {(name, span.name): by_id.get(span.parent_span_id) for name, span in ours} == WAY
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for _, span in ours)
    transactions = [(name, span) for name, span in collector.spans if span.name == "transaction"]
    assert {name for name, _ in transactions} == {"inference", "sink"}
    assert all(trace in {link.trace_id for link in span.links} for _, span in transactions)
    said = b"".join(span.SerializeToString() for _, span in collector.spans)
    secrets = (data.SOPInstanceUID, data.StudyInstanceUID, str(data.PatientName), data.PatientID)
    assert [one for one in secrets if str(one).encode() in said] == []


def store(data: Any, port: int) -> None:
    """Send an image by C-STORE."""
    ae = AE(ae_title="MODALITY")
    ae.add_requested_context(data.SOPClassUID, data.file_meta.TransferSyntaxUID)
    assoc = ae.associate("127.0.0.1", port, ae_title="RADSTREAM")
    try:
        assert assoc.send_c_store(data).Status == 0x0000
    finally:
        assoc.release()
