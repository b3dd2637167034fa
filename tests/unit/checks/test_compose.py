"""The compose file is valid, and is the same system as the native stack.

No container engine runs here: the images are named and pinned, not pulled or built.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from radstream.settings import METRICS_PORTS, Settings
from radstream.stack.components import BY_NAME
from radstream.stack.kafka_properties import BROKER_SETTINGS
from radstream.stack.ports import DEFAULT_PORTS
from radstream.stack.tools import versions

ROOT = Path(__file__).parents[3]
OURS = ("dicom_listener", "inference", "sink", "streams", "training")
ONE_SHOT = {"deploy"}
#: Listeners inside the compose network and on the host differ from the native one.
ADDRESSED_OTHERWISE = {"listener.security.protocol.map"}


def compose(name: str = "docker-compose.yml") -> dict[str, Any]:
    """Parse a compose file."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / name).read_text())
    return parsed


SERVICES: dict[str, dict[str, Any]] = compose()["services"]


@pytest.mark.parametrize("name", ["docker-compose.yml", "infra/compose.cuda.yml"])
def test_the_file_follows_the_compose_specification(name: str) -> None:
    """Checked against the specification's own JSON schema (compose-spec/compose-spec, Apache-2.0)."""
    schema = json.loads((Path(__file__).parent / "compose" / "compose-spec.json").read_text())

    jsonschema.Draft7Validator(schema).validate(compose(name))


def test_a_mistake_in_the_file_would_be_seen() -> None:
    """The schema refuses a misspelt key."""
    schema = json.loads((Path(__file__).parent / "compose" / "compose-spec.json").read_text())
    wrong = compose()
    wrong["services"]["redis"]["imagee"] = "redis"

    with pytest.raises(jsonschema.ValidationError, match="imagee"):
        jsonschema.Draft7Validator(schema).validate(wrong)


def test_docker_compose_reads_it() -> None:
    """`docker compose config` resolves it, where that program is installed."""
    program = shutil.which("docker-compose")
    words = [program] if program else ["docker", "compose"]
    try:
        subprocess.run([*words, "version"], capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("docker compose is not installed: the file was checked against the JSON schema only")
    secrets = subprocess.run([str(ROOT / "infra" / "secrets.sh")], capture_output=True, text=True, check=True)
    given = dict(line.split("=", 1) for line in secrets.stdout.split())

    result = subprocess.run(
        [*words, "config", "-q"], cwd=ROOT, env=dict(os.environ) | given, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr


def test_it_has_the_components_of_the_native_stack() -> None:
    """Same names; the one-shot deployment alone stands beside them."""
    assert set(SERVICES) - ONE_SHOT == set(BY_NAME)


@pytest.mark.parametrize("name", BY_NAME)
def test_ports_are_those_of_the_table_and_on_loopback(name: str) -> None:
    """What is published is the component's own ports, bound to 127.0.0.1."""
    published = [re.fullmatch(r"127\.0\.0\.1:(\d+):(\d+)", port) for port in SERVICES[name]["ports"]]

    assert all(published)
    assert {int(port[1]) for port in published if port} <= {DEFAULT_PORTS[port] for port in BY_NAME[name].ports}
    assert DEFAULT_PORTS[BY_NAME[name].ports[0]] in {int(port[1]) for port in published if port}


def test_the_listener_can_be_reached_by_tls() -> None:
    """Both DICOM ports are published; the folder of certificates is mounted, and its settings are handed on."""
    listener = SERVICES["dicom_listener"]
    settings = Settings.from_environment({})

    published = {int(port.rpartition(":")[2]) for port in listener["ports"]}
    assert {settings.dicom_port, settings.dicom_tls_port} <= published
    assert any(volume.endswith(":/etc/radstream/tls:ro") for volume in listener["volumes"])
    assert {"RADSTREAM_TLS_CERTIFICATE", "RADSTREAM_TLS_KEY", "RADSTREAM_TLS_CA"} <= listener["environment"].keys()


def test_the_broker_is_set_as_the_native_one() -> None:
    """Every broker setting of the design stands in the container's environment with the same value."""
    environment = SERVICES["kafka"]["environment"]
    wanted = {name: value for name, value in BROKER_SETTINGS.items() if name not in ADDRESSED_OTHERWISE}

    assert {name: environment.get(f"KAFKA_{name.upper().replace('.', '_')}") for name in wanted} == wanted


@pytest.mark.parametrize("name", sorted(set(BY_NAME) - set(OURS)))
def test_images_are_pinned(name: str) -> None:
    """A full version, never `latest`."""
    assert re.search(r":v?\d+\.\d+(\.\d+)?(-\w+)?$", SERVICES[name]["image"])


def test_images_and_native_servers_are_of_one_version() -> None:
    """Kafka, the registry, the object store and PostgreSQL's major version agree."""
    tags = {
        name: SERVICES[name]["image"].partition(":")[2] for name in ("kafka", "registry", "object_store", "postgres")
    }

    assert tags["kafka"] == versions()["KAFKA_VERSION"]
    assert tags["registry"] == versions()["APICURIO_VERSION"]
    assert tags["object_store"] == f"v{versions()['VERSITYGW_VERSION']}"
    assert tags["postgres"].startswith(f"{versions()['POSTGRES_MAJOR']}.")


def test_every_component_has_a_health_check_and_servers_keep_their_data() -> None:
    """Nothing is called up that can't say so; no server loses its data with its container."""
    without_check = [name for name, one in SERVICES.items() if name not in ONE_SHOT and "healthcheck" not in one]
    without_volume = [name for name in set(BY_NAME) - set(OURS) if not SERVICES[name].get("volumes")]

    assert without_check == []
    assert without_volume == []


@pytest.mark.parametrize("name", OURS)
def test_our_services_wait_for_the_deployment_and_have_a_target_of_their_own(name: str) -> None:
    """One Dockerfile, a target a service, run by a user without rights, after topics and tables are there."""
    dockerfile = (ROOT / "infra" / "Dockerfile").read_text()
    stages = re.split(r"^FROM ", dockerfile, flags=re.MULTILINE)[1:]
    target = SERVICES[name]["build"]["target"]
    (stage,) = [one for one in stages if one.splitlines()[0].endswith(f" AS {target}")]
    module = " ".join(re.findall(r'"([^"]*)"', stage.rpartition("CMD")[2]))

    assert "USER 10001" in stage
    assert module == "python -m " + {"inference": "consumers inference", "sink": "consumers sink"}.get(name, name)
    assert SERVICES[name]["depends_on"] == {"deploy": {"condition": "service_completed_successfully"}}


def test_inference_has_a_variant_for_cuda() -> None:
    """The override file swaps the target and asks for a GPU; both targets exist."""
    override = compose("infra/compose.cuda.yml")["services"]["inference"]
    dockerfile = (ROOT / "infra" / "Dockerfile").read_text()

    assert override["build"]["target"] == "inference-cuda"
    assert override["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert f"AS {override['build']['target']}" in dockerfile


def test_settings_of_the_containers_are_read_by_the_services() -> None:
    """Each RADSTREAM_ line is a setting that exists, and together they are valid."""
    environment = SERVICES["dicom_listener"]["environment"]
    filled = {name: re.sub(r"\$\{[^}]*KEY:[^}]*\}", "0" * 64, value) for name, value in environment.items()}

    settings = Settings.from_environment(filled | {"RADSTREAM_STATE_DIR": "/nonexistent"})

    assert settings.kafka_bootstrap == "kafka:19092"
    assert settings.bind_address == "0.0.0.0"  # noqa: S104 - inside the container


def test_prometheus_scrapes_what_the_native_one_scrapes() -> None:
    """A job for each of our services, at its metrics port."""
    config = yaml.safe_load((ROOT / "infra" / "prometheus" / "prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}

    assert targets == {service: [f"{service}:{port}"] for service, port in METRICS_PORTS.items()}
