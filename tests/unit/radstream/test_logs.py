"""Logs let nothing through that is not known to be free of patient data."""

import json
import socket
import subprocess
import sys

PROGRAM = """
from radstream.logs import configure, get_log
configure("test")
log = get_log()
log.info("image stored", bytes=3, patient_name="DOE^JANE")
try:
    raise ValueError("PatientID 0815 is odd")
except ValueError:
    log.exception("handling failed")
"""


def test_unknown_keys_and_exception_texts_stay_out() -> None:
    """A key that is not on the list is dropped and named; an exception keeps its place, not its text."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    first, second = (json.loads(line) for line in done.stderr.splitlines())

    assert first["dropped_keys"] == ["patient_name"]
    assert first["bytes"] == 3
    assert "ValueError at __main__:7" in second["exception"]
    assert "DOE" not in done.stderr
    assert "0815" not in done.stderr


def test_a_line_is_written_at_once() -> None:
    """Processes that share a log don't write into each other's lines: each is one write, here one packet."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        subprocess.run([sys.executable, "-c", PROGRAM], stderr=theirs.fileno(), check=True)

        packets = [ours.recv(65536) for _ in range(2)]

    assert [json.loads(packet)["event"] for packet in packets] == ["image stored", "handling failed"]
    assert all(packet.endswith(b"\n") for packet in packets)
