"""What a service tells Prometheus, read over HTTP."""

from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from tests.running import Service


def meters(service: Service, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
    """Read a service's samples of one name that carry these labels."""
    with urlopen(f"http://127.0.0.1:{service.metrics_port}/metrics", timeout=10) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return [(one.labels, one.value) for one in samples if labels.items() <= one.labels.items()]
