"""`infra/setup.sh`: nothing to do costs nothing, and what can't be done is one line before anything is installed."""

import os
import subprocess
from pathlib import Path

import pytest

from radstream.stack.tools import Tools

ROOT = Path(__file__).parents[3]


def setup(kind: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the set-up of this checkout."""
    return subprocess.run(
        ["bash", str(ROOT / "infra" / "setup.sh"), kind],
        env=dict(os.environ) | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.fixture
def path_without(tmp_path: Path) -> Path:
    """Make a PATH of links to every program of this machine; a test removes those that it wants missing."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in reversed(os.environ["PATH"].split(":")):
        for program in Path(place).glob("*"):
            (folder / program.name).unlink(missing_ok=True)
            (folder / program.name).symlink_to(program)
    return folder


@pytest.mark.parametrize("kind", ["demo", "dev"])
def test_a_second_set_up_says_and_does_nothing(kind: str) -> None:
    """`make demo` and `make test` begin with it each time."""
    assert setup(kind).returncode == 0

    result = setup(kind)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("missing", "server", "said"),
    [
        ("mvn", "kafka-*", "Maven is missing"),
        ("mvn", "apicurio-*", "Maven is missing"),
        ("go", "versitygw-*", "Go 1.24 or newer is missing"),
        ("apt-get", "redis-server", "there is no apt-get"),
    ],
)
def test_a_tool_that_is_missing_is_named_before_anything_is_installed(
    tmp_path: Path, path_without: Path, missing: str, server: str, said: str
) -> None:
    """One line says what is missing and how to get it; exit status 1; the cache stays as it was."""
    cache = tmp_path / "cache" / "radstream"
    cache.mkdir(parents=True)
    for there in Tools.from_environment(os.environ).cache.iterdir():
        if not there.match(server):
            (cache / there.name).symlink_to(there)
    before = sorted(cache.iterdir())
    (path_without / missing).unlink()
    (path_without / server).unlink(missing_ok=True)

    result = setup("demo", XDG_CACHE_HOME=str(tmp_path / "cache"), PATH=str(path_without))

    assert result.returncode == 1
    assert result.stderr.startswith("setup: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(cache.iterdir()) == before


def test_an_unknown_kind_is_a_wrong_call() -> None:
    """Exit status 2 and the usage."""
    result = setup("everything")

    assert result.returncode == 2
    assert "usage" in result.stderr


def test_the_makefile_lists_its_commands() -> None:
    """`make` alone prints a line for each command of the public face."""
    shown = subprocess.run(["make", "-s", "-C", str(ROOT)], capture_output=True, text=True, check=True).stdout

    commands = {line.split()[1] for line in shown.splitlines()}
    assert {"setup", "up", "down", "demo", "test", "check", "bench", "crash"} <= commands
