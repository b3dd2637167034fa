"""`python -m training` answers its probes and doesn't pretend to retrain."""

import urllib.request
from pathlib import Path

from tests.running import Service, unused_port


def test_the_service_lives_says_that_retraining_is_not_built_and_stops(
    tmp_path: Path, plain_environment: dict[str, str]
) -> None:
    """Health, a metric of 0, a line in the log, and a clean end on SIGTERM."""
    port = unused_port()
    environment = plain_environment | {"RADSTREAM_METRICS_PORT": str(port), "RADSTREAM_STATE_DIR": str(tmp_path)}
    service = Service("training", environment, tmp_path / "log").start()

    metrics = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    status = service.stop()

    assert "radstream_training_retraining_available 0.0" in metrics
    assert "retraining is not built yet" in (tmp_path / "log").read_text()
    assert status == 0
