"""From text, of the environment or of an env file, to a value of `radstream.settings`, which lists what there is."""

from collections.abc import Mapping
from dataclasses import Field
from pathlib import Path
from typing import Any

from schemas.errors import SettingInvalid, SettingMissing


def variable(name: str) -> str:
    """Name the environment variable of a field."""
    return "RADSTREAM_METRICS_PORT" if name == "service_metrics_port" else f"RADSTREAM_{name.upper()}"


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out every setting of ours: for a program that is to see what it is given, and nothing of a shell's."""
    return {name: value for name, value in environment.items() if not name.startswith("RADSTREAM_")}


def read_env_file(path: Path) -> dict[str, str]:
    """Read the `RADSTREAM_*=value` lines of an env file; no file means no settings."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError as error:
        raise SettingInvalid(f"{path} can't be read: run as the user who ran `radstream up`") from error
    pairs = (line.removeprefix("export ").partition("=") for line in lines if not line.startswith("#"))
    return {name: value.strip("'\"") for name, equals, value in pairs if equals and name.startswith("RADSTREAM_")}


def value_of(one: Field[Any], given: Mapping[str, str], offset: int) -> Any:
    """Read a setting from what is given, else from its default, its port moved by `offset`; raise SettingInvalid."""
    text = given.get(variable(one.name)) or _moved(one.metadata["default"], offset)
    if text is None:
        return None
    try:
        return one.metadata["parse"](text)
    except ValueError as error:
        shown = "..." if not one.repr else repr(text)
        raise SettingInvalid(f"{variable(one.name)}={shown} can't be used ({error}): {one.metadata['doc']}") from error


def required(name: str, value: bytes | None) -> bytes:
    """Give a key that is set, or say how to get one."""
    if value is None:
        raise SettingMissing(
            f"{name} is not set: `radstream up` makes one in .radstream/env; elsewhere set 64 hex digits"
        )
    return value


def _moved(default: str | None, offset: int) -> str | None:
    """Move the `{port}` in a default.

    >>> _moved("redis://localhost:{6379}/0", 1000)
    'redis://localhost:7379/0'
    """
    if default is None or "{" not in default:
        return default
    before, _, rest = default.partition("{")
    port, _, after = rest.partition("}")
    return f"{before}{int(port) + offset}{after}"
