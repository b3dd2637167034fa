"""The training service. Retraining is not built yet: it answers health and metrics, and says so."""

from prometheus_client import Gauge

from radstream.logs import get_log
from radstream.service import Health, Stop
from radstream.settings import Settings

RETRAINING = Gauge("radstream_training_retraining_available", "1 when retraining requests are answered (0: not built)")


def run(settings: Settings, health: Health, stop: Stop) -> None:
    """Wait to be stopped; nothing is read and nothing is trained."""
    del settings  # Run's signature; nothing of it is needed yet
    RETRAINING.set(0)
    get_log().warning("retraining is not built yet: requests stay unread; use `python -m training fit`")
    health.ready()
    stop.wait()
