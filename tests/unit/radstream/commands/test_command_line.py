"""The command as a program: its exit status, and what stands on which stream."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.running import plain_environment, unused_port


def radstream(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person does, without the developer's own settings."""
    return subprocess.run(
        [sys.executable, "-m", "radstream.commands", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=plain_environment() | settings,
    )


def test_send_prints_one_object_a_file_and_nothing_else(archive: Any, phantoms: list[Path]) -> None:
    """With `--json` standard output holds JSON lines alone; everything accepted is exit 0."""
    run = radstream("send", *map(str, phantoms[:2]), "--port", str(archive.port), "--json")

    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0
    assert [list(row) for row in rows] == [["file", "sop_instance_uid", "study_instance_uid", "status", "ack_ms"]] * 2
    assert run.stderr == ""


def test_send_fails_when_one_file_was_not_accepted(archive: Any, phantoms: list[Path], tmp_path: Path) -> None:
    """A file that is no image makes exit 1; the others are sent."""
    odd = tmp_path / "odd.txt"
    odd.write_text("no image")

    run = radstream("send", str(phantoms[0]), str(odd), "--port", str(archive.port), "--json")

    assert run.returncode == 1
    assert {json.loads(line)["status"] for line in run.stdout.splitlines()} == {"0x0000", "not_dicom"}
    assert len(archive.stored) == 1


def test_send_shows_a_table_to_people(archive: Any, phantoms: list[Path]) -> None:
    """Without `--json` there is a table and a count."""
    run = radstream("send", str(phantoms[0]), "--port", str(archive.port))

    assert run.returncode == 0
    assert "1 0x0000" in run.stdout
    assert not run.stdout.startswith("{")


def test_send_to_nobody_is_one_line(phantoms: list[Path]) -> None:
    """It says where it called and what may be wrong, without a traceback."""
    port = unused_port()

    run = radstream("send", str(phantoms[0]), "--port", str(port), "--json")

    assert run.returncode == 1
    assert str(port) in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("send",),
        ("send", "/nonexistent/file.dcm"),
        ("send", ".", "--associations", "0"),
        ("results", "--since", "yesterday"),
        ("results", "--wait", "x"),
        ("reconcile", "--since", "10w"),
        ("dlq", "show", "no-uuid"),
        ("dlq", "replay"),
        ("model", "shadow", "m"),
        ("model", "canary", "m", "2.0.0", "--share", "1.5"),
        ("model", "rollback", "m"),
        ("nonsense",),
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_exit_2(words: tuple[str, ...]) -> None:
    """What is wrong stands on standard error; standard output stays empty."""
    run = radstream(*words)

    assert run.returncode == 2
    assert run.stdout == ""
    assert run.stderr.strip()
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "words", [("results",), ("lag",), ("drift",), ("dlq", "list"), ("model", "list"), ("reconcile",)], ids=" ".join
)
def test_a_server_that_is_away_is_one_line_and_exit_1(words: tuple[str, ...]) -> None:
    """It names the setting to look at; nothing stands on standard output."""
    port = str(unused_port())
    run = radstream(
        *words,
        "--json",
        RADSTREAM_KAFKA_BOOTSTRAP=f"127.0.0.1:{port}",
        RADSTREAM_POSTGRES_URL=f"postgresql://radstream@127.0.0.1:{port}/radstream",
        RADSTREAM_SCHEMA_REGISTRY_URL=f"http://127.0.0.1:{port}/apis/ccompat/v7",
    )

    assert run.returncode == 1
    assert run.stdout == ""
    assert len(run.stderr.strip().splitlines()) == 1
    assert "RADSTREAM_" in run.stderr
