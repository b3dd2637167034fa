"""A spool has its spares here, however full the machine's disk is."""

import pytest

from radstream.spool import segments

#: A disk that is half full, as this machine's may be, gets no spares.
ROOMY_PERCENT = 100.0


@pytest.fixture(autouse=True)
def _roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_SPARE_UNTIL_PERCENT", ROOMY_PERCENT)
