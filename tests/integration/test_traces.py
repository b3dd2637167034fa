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

    until(lambda: {(name, one.name) for name, one in ours(collector)} >= WAY.keys(), 90, "spans are missing")
    found = ours(collector)
    by_id = {span.span_id: (name, span.name) for name, span in found}
    assert len(by_id) == len(found) == len(WAY)
    assert {(name, span.name): by_id.get(span.parent_span_id) for name, span in found} == WAY
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for _, span in found)
    until(lambda: linked(collector, found[0][1].trace_id) == {"inference", "sink"}, 30, "a transaction has no link")
    said = b"".join(span.SerializeToString() for _, span in collector.spans)
    secrets = (data.SOPInstanceUID, data.StudyInstanceUID, str(data.PatientName), data.PatientID)
    assert [one for one in secrets if str(one).encode() in said] == []


def ours(collector: Collector) -> list[tuple[str, Any]]:
    """List the spans of the one image that the listener received: the services may meet other tests' images too."""
    came = list(collector.spans)
    traces = {span.trace_id for name, span in came if (name, span.name) == ("dicom_listener", "receive image")}
    return [(name, span) for name, span in came if span.trace_id in traces and span.name != "transaction"]


def linked(collector: Collector, trace: bytes) -> set[str]:
    """Name the services that linked a transaction with a trace."""
    came = [(name, span) for name, span in list(collector.spans) if span.name == "transaction"]
    return {name for name, span in came if trace in {link.trace_id for link in span.links}}


def store(data: Any, port: int) -> None:
    """Send an image by C-STORE."""
    ae = AE(ae_title="MODALITY")
    ae.add_requested_context(data.SOPClassUID, data.file_meta.TransferSyntaxUID)
    assoc = ae.associate("127.0.0.1", port, ae_title="RADSTREAM")
    try:
        assert assoc.send_c_store(data).Status == 0x0000
    finally:
        assoc.release()
