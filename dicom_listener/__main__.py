"""`python -m dicom_listener`: stage 1."""

import sys

from dicom_listener.worker import SERVICE, run
from radstream.service import run_service

if __name__ == "__main__":
    sys.exit(run_service(SERVICE, run))
