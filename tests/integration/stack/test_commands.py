"""`radstream up`, `down` and `status` through the real command, in a state folder and at ports of their own."""

import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from radstream.setting_reader import read_env_file
from radstream.stack.ports import free_offset, is_free
from radstream.stack.site import site_of
from radstream.stack.supervision import Supervisor, alive
from tests.running import until

pytestmark = pytest.mark.stack
QUICK = "redis,object_store"


@dataclass(frozen=True, slots=True)
class Command:
    """The command as a person types it, in one state folder."""

    state_dir: Path
    offset: int
    environment: dict[str, str]

    def __call__(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `radstream` with these words."""
        own = {"RADSTREAM_STATE_DIR": str(self.state_dir), "RADSTREAM_PORT_OFFSET": str(self.offset)}
        return subprocess.run(
            [str(Path(sys.executable).with_name("radstream")), *words],
            env=self.environment | own | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def rows(self, *words: str) -> dict[str, dict[str, Any]]:
        """Run it with `--json`; return the objects by component."""
        result = self(*words, "--json")
        assert result.returncode == 0, result.stderr
        return {row["component"]: row for row in map(json.loads, result.stdout.splitlines())}

    def pid(self, component: str) -> int:
        """Return the process id of a component that runs; fail where it does not (a 0 must never be killed)."""
        found = self.pid_now(component)
        assert found > 1, f"{component} does not run"
        return found

    def pid_now(self, component: str) -> int:
        """Return the process id of a component, 0 where it does not run."""
        site = site_of({"RADSTREAM_STATE_DIR": str(self.state_dir)})
        return Supervisor(site).states().get(component, ("", 0, ""))[1]

    def state_now(self, component: str) -> str:
        """Return what the supervisor itself says of a component."""
        site = site_of({"RADSTREAM_STATE_DIR": str(self.state_dir)})
        return Supervisor(site).states().get(component, ("", 0, ""))[0]

    @property
    def supervisor_pid(self) -> int:
        """The process id of supervisord."""
        return int((self.state_dir / "supervisord.pid").read_text())


@pytest.fixture
def radstream(tmp_path: Path, plain_environment: dict[str, str]) -> Iterator[Command]:
    """Give the command with a folder of its own; whatever it started is stopped."""
    # Another test run on this machine may look for ports at the same time: begin somewhere.
    offset = free_offset(15_000 + 100 * random.randrange(50))  # noqa: S311 - no secret
    command = Command(tmp_path / "state", offset, plain_environment)
    yield command
    command("down")
    shutil.rmtree(site_of({"RADSTREAM_STATE_DIR": str(command.state_dir)}).private_dir, ignore_errors=True)


def test_up_starts_what_is_named_and_down_stops_it(radstream: Command) -> None:
    """After `up` the named components are ready, after `down` none runs and their ports are free."""
    started = radstream.rows("up", "--wait", "--only", QUICK)
    during = radstream.rows("status")
    stopped = radstream.rows("down")
    after = radstream.rows("status")

    assert {name: row["state"] for name, row in started.items()} == {"redis": "running", "object_store": "running"}
    assert started["redis"]["address"] == f"redis://127.0.0.1:{6379 + radstream.offset}/0"
    assert [name for name, row in during.items() if row["ready"]] == ["object_store", "redis"]
    assert set(stopped) == {"redis", "object_store"}
    assert {row["state"] for row in after.values()} == {"stopped"}
    assert is_free(6379 + radstream.offset)


def test_status_has_the_public_fields_of_every_component(radstream: Command) -> None:
    """Nothing runs: each component is `stopped`, not ready, with its address and version; exit status 0."""
    rows = radstream.rows("status")

    assert {"kafka", "registry", "object_store", "postgres", "redis", "prometheus"} < set(rows)
    assert {"dicom_listener", "inference", "sink", "streams", "training"} < set(rows)
    assert all(
        set(row) == {"component", "state", "ready", "address", "version", "detail"} and row["ready"] is False
        for row in rows.values()
    )


def test_up_twice_leaves_what_runs_alone(radstream: Command) -> None:
    """A second `up` succeeds and the processes are the same."""
    radstream.rows("up", "--only", QUICK)
    before = radstream.pid("redis")

    again = radstream.rows("up", "--only", QUICK)

    assert again["redis"]["state"] == "running"
    assert radstream.pid("redis") == before


def test_a_changed_setting_counts_at_the_next_up(radstream: Command) -> None:
    """Credentials of the object store that were changed reach the server without a `down`."""
    radstream.rows("up", "--only", QUICK)
    first, redis = radstream.pid("object_store"), radstream.pid("redis")

    result = radstream("up", "--only", QUICK, RADSTREAM_S3_SECRET_KEY="another-secret-of-mine")

    assert result.returncode == 0, result.stderr
    assert radstream.pid("object_store") != first
    assert radstream.pid("redis") == redis
    assert read_env_file(radstream.state_dir / "env")["RADSTREAM_S3_SECRET_KEY"] == "another-secret-of-mine"


def test_a_port_in_use_is_one_clear_line(radstream: Command) -> None:
    """Exit status 1, one line with the port and the way out, no traceback, nothing started."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 6379 + radstream.offset))
        other.listen()

        result = radstream("up", "--only", QUICK)

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert f"port {6379 + radstream.offset} (redis) is in use" in result.stderr
    assert "RADSTREAM_PORT_OFFSET" in result.stderr
    assert radstream.pid_now("object_store") == 0


def test_a_service_that_can_not_start_is_said_with_the_reason(radstream: Command) -> None:
    """`up --wait` gives up soon, and repeats the one line that the service left in its log."""
    result = radstream("up", "--wait", "--only", "training", RADSTREAM_ACK_POLICY="hope")

    assert result.returncode == 1
    assert "training does not start: training: RADSTREAM_ACK_POLICY='hope'" in result.stderr
    assert "training.log" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_server_that_is_killed_is_started_again(radstream: Command) -> None:
    """Kill -9 of Redis: the supervisor starts another process, and `status` says ready."""
    radstream.rows("up", "--only", QUICK)
    # In a process's first second the supervisor would count its end as a failed start, and try again anyway.
    until(lambda: radstream.state_now("redis") == "running", 20)
    killed = radstream.pid("redis")
    os.kill(killed, signal.SIGKILL)

    until(lambda: radstream.pid_now("redis") not in {0, killed}, 20, "Redis was not restarted")
    until(lambda: radstream.rows("status")["redis"]["ready"], 20, "Redis is not ready again")


def test_postgres_comes_back_after_kill_minus_nine(radstream: Command) -> None:
    """Its dying children hold the lock file for seconds: the supervisor tries until it starts, and nothing is lost."""
    radstream.rows("up", "--only", "postgres")
    until(lambda: radstream.state_now("postgres") == "running", 20)
    url = read_env_file(radstream.state_dir / "env")["RADSTREAM_POSTGRES_URL"]
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    connection.close()
    killed = radstream.pid("postgres")
    os.kill(killed, signal.SIGKILL)

    # Not by `status`: it takes a second, in which a quick machine's PostgreSQL is back.
    until(lambda: radstream.pid_now("postgres") not in {0, killed}, 60, "PostgreSQL was not restarted")
    until(lambda: radstream.rows("status")["postgres"]["ready"], 60, "PostgreSQL is not ready again")
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT answer FROM kept")
        assert cursor.fetchone() == (42,)
    connection.close()


def test_down_ends_what_a_killed_supervisor_left(radstream: Command) -> None:
    """With supervisord gone the kernel ends its servers; `down` waits for that, and a new `up` works."""
    radstream.rows("up", "--only", QUICK)
    redis = radstream.pid("redis")
    supervisor = radstream.supervisor_pid
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not alive(supervisor), 10)

    assert radstream("down").returncode == 0
    assert not alive(redis)
    assert radstream.rows("up", "--only", QUICK)["redis"]["state"] == "running"


def test_the_env_file_can_be_sourced_and_only_its_owner_reads_it(radstream: Command) -> None:
    """Mode 0600; a shell that sources it has every address; keys stay the same over a second `up`."""
    radstream.rows("up", "--only", "redis")
    env = radstream.state_dir / "env"
    key = read_env_file(env)["RADSTREAM_PSEUDONYM_KEY"]
    radstream.rows("up", "--only", "redis")

    shown = subprocess.run(
        ["bash", "-c", f"set -a; . {env}; echo $RADSTREAM_KAFKA_BOOTSTRAP $RADSTREAM_PSEUDONYM_KEY"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    assert shown.stdout.split() == [f"127.0.0.1:{9092 + radstream.offset}", key]
    assert len(bytes.fromhex(key)) == 32


def test_a_deep_state_folder_is_no_obstacle(radstream: Command) -> None:
    """A path that is too long for a Unix socket moves the supervisor's socket, not the state."""
    deep = radstream.state_dir / ("d" * 60) / ("e" * 60)
    command = Command(deep, radstream.offset, radstream.environment)

    started = command.rows("up", "--only", "redis")
    stopped = command.rows("down")

    assert started["redis"]["state"] == "running"
    assert set(stopped) == {"redis"}
    assert (deep / "log" / "redis.log").exists()


@pytest.mark.parametrize(
    ("words", "environment", "exit_status", "said"),
    [
        (("up", "--only", "mongo"), {}, 2, "mongo"),
        (("up", "--no-such-option"), {}, 2, "no-such-option"),
        (("fly",), {}, 2, "fly"),
        (("up", "--only", "redis"), {"RADSTREAM_PORT_OFFSET": "many"}, 1, "RADSTREAM_PORT_OFFSET"),
        (("up", "--only", "redis"), {"PATH": "/nowhere"}, 1, "redis-server is not installed"),
        (("up", "--only", "kafka"), {"XDG_CACHE_HOME": "/nowhere"}, 1, "make setup"),
    ],
)
def test_a_wrong_call_is_said_without_a_traceback(
    radstream: Command, words: tuple[str, ...], environment: dict[str, str], exit_status: int, said: str
) -> None:
    """A wrong call exits with 2, a missing program or a bad setting with 1; each says what it is about."""
    result = radstream(*words, **environment)

    assert result.returncode == exit_status
    assert said in result.stderr
    assert "Traceback" not in result.stderr
