"""Logs let nothing through that is not known to be free of patient data."""

import json
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
