"""Settings: one reader, clear errors, masked secrets, documented."""

from pathlib import Path

import pytest

from radstream.settings import METRICS_PORTS, Settings, documentation
from schemas.errors import SettingInvalid, SettingMissing


def _settings(tmp_path: Path, **given: str) -> Settings:
    return Settings.from_environment({"RADSTREAM_STATE_DIR": str(tmp_path), **given})


def test_offset_moves_every_default_port(tmp_path: Path) -> None:
    """Checkouts live side by side by one number."""
    settings = _settings(tmp_path, RADSTREAM_PORT_OFFSET="100")

    assert settings.kafka_bootstrap == "localhost:9192"
    assert settings.dicom_port == 11212
    assert settings.metrics_port("inference") == METRICS_PORTS["inference"] + 100


def test_address_that_is_set_is_not_moved(tmp_path: Path) -> None:
    """The offset is for defaults: what a person wrote is meant as written."""
    settings = _settings(tmp_path, RADSTREAM_PORT_OFFSET="100", RADSTREAM_KAFKA_BOOTSTRAP="broker:1")

    assert settings.kafka_bootstrap == "broker:1"


def test_env_file_stands_below_the_environment(tmp_path: Path) -> None:
    """`radstream results` finds the running system without sourcing anything; the shell still wins."""
    (tmp_path / "env").write_text("RADSTREAM_AE_TITLE=FILE\nRADSTREAM_S3_BUCKET='images'\nOTHER=1\n")

    settings = _settings(tmp_path, RADSTREAM_AE_TITLE="SHELL")

    assert (settings.ae_title, settings.s3_bucket) == ("SHELL", "images")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RADSTREAM_ACK_POLICY", "never"),
        ("RADSTREAM_DICOM_PORT", "eleven"),
        ("RADSTREAM_ENGINE", "abacus"),
        ("RADSTREAM_SPOOL_SHED_PERCENT", "180"),
        ("RADSTREAM_ACK_DEADLINE_SECONDS", "0"),
        ("RADSTREAM_ACCEPT_UNKNOWN_SYNTAXES", "yes"),
        ("RADSTREAM_BATCH_IMAGES", "0"),
        ("RADSTREAM_DEPLOY_LEAD_SECONDS", "4.9"),  # members count on five
    ],
)
def test_wrong_value_is_named(tmp_path: Path, name: str, value: str) -> None:
    """The message has the setting, the value and what it is for."""
    with pytest.raises(SettingInvalid, match=f"{name}='{value}'"):
        _settings(tmp_path, **{name: value})


def test_secret_is_never_shown(tmp_path: Path) -> None:
    """Neither the repr nor the error of a secret shows it."""
    shown = repr(_settings(tmp_path, RADSTREAM_S3_SECRET_KEY="hush", RADSTREAM_VAULT_KEY="ab" * 32))

    assert "hush" not in shown
    assert "abab" not in shown
    with pytest.raises(SettingInvalid) as caught:
        _settings(tmp_path, RADSTREAM_VAULT_KEY="hush-hush")
    assert "hush" not in str(caught.value)


def test_missing_key_says_how_to_get_one(tmp_path: Path) -> None:
    """A key without a default is asked for when it is needed, with the way to make one."""
    with pytest.raises(SettingMissing, match="RADSTREAM_PSEUDONYM_KEY"):
        _settings(tmp_path).require_pseudonym_key()


@pytest.mark.parametrize(("name", "default", "doc"), documentation())
def test_setting_says_what_it_means(name: str, default: str, doc: str) -> None:
    """Each setting has a meaning, and a quantity its unit; docs/settings.md is made from them."""
    assert doc.endswith(".")
    if name.endswith("_SECONDS"):
        assert "(seconds)" in doc, default
