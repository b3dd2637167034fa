"""The parent stays light: little in it can die."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("library", ["pynetdicom", "pydicom", "confluent_kafka", "minio", "psycopg2", "numpy"])
def test_the_parent_imports_no_library_of_its_workers(library: str) -> None:
    """DICOM, Kafka and the stores are the workers' matter."""
    program = f"import sys, dicom_listener.__main__; sys.exit('{library}' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
