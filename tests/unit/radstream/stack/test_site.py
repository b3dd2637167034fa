"""What a site is made of: ports, secrets, the env file, and the texts that are rendered for the servers."""

from pathlib import Path

import pytest

from radstream.setting_reader import read_env_file
from radstream.settings import METRICS_PORTS, Settings, process_environment
from radstream.stack import servers, tools
from radstream.stack.components import COMPONENTS, Component
from radstream.stack.ports import DEFAULT_PORTS, is_free, ports_at, refuse_ports_in_use
from radstream.stack.site import SECRETS, Site, site_of
from radstream.stack.supervision import rendered
from radstream.stack.tools import Tools
from schemas.errors import PortInUse, SettingInvalid, StackNotReady
from tests.running import listening


def site(folder: Path, **environment: str) -> Site:
    """Describe the site of a folder."""
    return site_of({"RADSTREAM_STATE_DIR": str(folder)} | environment)


def test_the_offset_moves_every_port(tmp_path: Path) -> None:
    """Ports and addresses move together."""
    moved = site(tmp_path, RADSTREAM_PORT_OFFSET="300")

    assert {name: port - 300 for name, port in moved.ports.items()} == dict(DEFAULT_PORTS)
    assert moved.environment["RADSTREAM_KAFKA_BOOTSTRAP"] == "127.0.0.1:9392"


def test_what_the_env_file_says_is_what_the_services_read(tmp_path: Path) -> None:
    """The settings of a service that is started with the site's lines name the site's servers and keys."""
    here = site(tmp_path, RADSTREAM_PORT_OFFSET="300")
    here.write()

    settings = Settings.from_environment({"RADSTREAM_STATE_DIR": str(tmp_path)})

    assert settings.kafka_bootstrap == "127.0.0.1:9392"
    assert settings.dicom_port == 11412
    assert settings.metrics_port("sink") == METRICS_PORTS["sink"] + 300
    assert settings.require_vault_key().hex() == here.secret("RADSTREAM_VAULT_KEY")
    assert read_env_file(here.env_file) == here.environment


def test_secrets_and_ports_are_kept_over_a_second_start(tmp_path: Path) -> None:
    """Keys are made once; the offset holds for calls that don't name it."""
    first = site(tmp_path, RADSTREAM_PORT_OFFSET="300", RADSTREAM_DICOM_PORT="4242")
    first.write()

    second = site(tmp_path)

    assert {name: second.secret(name) for name in SECRETS} == {name: first.secret(name) for name in SECRETS}
    assert second.ports == first.ports
    assert second.ports["dicom"] == 4242


def test_two_sites_share_no_secret(tmp_path: Path) -> None:
    """Every key and password is random."""
    one, other = site(tmp_path / "one"), site(tmp_path / "other")

    assert [name for name in SECRETS if one.secret(name) == other.secret(name)] == []


def test_settings_of_one_process_are_not_handed_to_all(tmp_path: Path) -> None:
    """A metrics port or a point of death that stands in the shell would hit every service."""
    here = site(tmp_path, RADSTREAM_METRICS_PORT="1", RADSTREAM_DIE_AT="published", RADSTREAM_ENGINE="openvino")

    assert not {"RADSTREAM_METRICS_PORT", "RADSTREAM_DIE_AT"} & set(here.environment)
    assert here.environment["RADSTREAM_ENGINE"] == "openvino"


@pytest.mark.parametrize(
    "wrong", [{"RADSTREAM_PORT_OFFSET": "-1"}, {"RADSTREAM_PORT_OFFSET": "99999"}, {"RADSTREAM_DICOM_PORT": "dicom"}]
)
def test_a_port_that_is_none_is_refused(tmp_path: Path, wrong: dict[str, str]) -> None:
    """The message names the setting."""
    with pytest.raises(SettingInvalid, match=next(iter(wrong))):
        site(tmp_path, **wrong)


def test_every_port_in_use_is_named_at_once() -> None:
    """A person frees them all in one go."""
    with listening() as one, listening() as other:
        with pytest.raises(PortInUse) as error:
            refuse_ports_in_use([("kafka", one), ("redis", other)])

        assert f"{one} (kafka), {other} (redis)" in str(error.value)
        assert not is_free(one)


def test_no_two_listeners_share_a_port() -> None:
    """The table has no port twice, and every component's ports stand in it."""
    assert len(set(DEFAULT_PORTS.values())) == len(DEFAULT_PORTS)
    assert all(port in ports_at(0) for component in COMPONENTS for port in component.ports)


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda one: one.name)
def test_everything_listens_on_loopback_alone(tmp_path: Path, component: Component) -> None:
    """No command line of a server opens another address (our services bind by RADSTREAM_BIND_ADDRESS)."""
    here = site(tmp_path)
    here.write()
    command = " ".join(component.command(here, Tools.from_environment(process_environment())).argv)

    assert "0.0.0.0" not in command  # noqa: S104 - that is what must not be there
    assert component.group == "services" or component.name == "kafka" or "127.0.0.1" in command


def test_a_percent_sign_in_a_path_reaches_the_process_as_it_is(tmp_path: Path) -> None:
    """Supervisor expands %(...)s: ours are doubled."""
    here = site(tmp_path / "100%")
    (redis,) = [component for component in COMPONENTS if component.name == "redis"]

    text = rendered(here, [redis], Tools.from_environment(process_environment()))

    assert "100%%/redis" in text
    assert "100%/redis" not in text


def test_a_missing_program_says_how_to_get_it(tmp_path: Path) -> None:
    """One line that names `make setup`."""
    nowhere = Tools(cache=tmp_path, search_path=str(tmp_path))

    for missing in (
        lambda: nowhere.kafka_libs,
        lambda: nowhere.versitygw,
        lambda: nowhere.on_path("redis-server", "x"),
    ):
        with pytest.raises(StackNotReady, match="make setup"):
            missing()


def test_versions_are_pinned_in_one_file() -> None:
    """Set-up, stack and compose read the same lines."""
    assert set(tools.versions()) == {"KAFKA_VERSION", "APICURIO_VERSION", "VERSITYGW_VERSION", "POSTGRES_MAJOR"}


def test_postgres_runs_as_a_user_without_rights() -> None:
    """Root hands it over; anyone else runs it himself."""
    assert servers.server_user() != "root"
