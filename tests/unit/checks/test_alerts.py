"""The alerts parse, fire on what they stand for, name meters that exist, and are explained."""

import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
RULES = ROOT / "infra" / "prometheus" / "alerts.yml"
METER = re.compile(r"\bradstream_[a-z_]+\b")


def rules() -> list[dict[str, Any]]:
    """Read every rule."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_prometheus_takes_the_rules_and_they_fire() -> None:
    """Its own tool reads them, and runs them over written series: `make setup` installs it with Prometheus."""
    for words in (["check", "rules", RULES.name], ["test", "rules", "alerts_test.yml"]):
        done = subprocess.run(["promtool", *words], cwd=RULES.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_meter_of_an_alert_exists() -> None:
    """A name that is misspelt would be an alert that never fires."""
    code = "".join(path.read_text() for room in ("consumers", "dicom_listener") for path in (ROOT / room).rglob("*.py"))

    named = {meter for rule in rules() for meter in METER.findall(rule["expr"])}

    assert len(named) > 5
    assert {meter for meter in named if f'"{meter}"' not in code} == set()


def test_every_alert_says_what_to_do_and_is_explained() -> None:
    """Whoever is woken by it finds it in docs/operations.md."""
    page = (ROOT / "docs" / "operations.md").read_text()

    assert {rule["alert"] for rule in rules() if "action" not in rule["annotations"]} == set()
    assert {rule["alert"] for rule in rules() if f"**{rule['alert']}**" not in page} == set()


def test_both_systems_load_the_rules() -> None:
    """The compose file's Prometheus and the native one's."""
    assert "alerts.yml" in (ROOT / "infra" / "prometheus" / "prometheus.yml").read_text()
    assert "prometheus/alerts.yml" in (ROOT / "docker-compose.yml").read_text()
    assert "alerts.yml" in (ROOT / "radstream" / "stack" / "servers.py").read_text()
