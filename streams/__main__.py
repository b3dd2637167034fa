"""`python -m streams`: stage 3."""

import sys

from radstream.service import run_service
from streams.worker import run

if __name__ == "__main__":
    sys.exit(run_service("streams", run))
