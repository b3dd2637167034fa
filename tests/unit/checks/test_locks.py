"""The lock files: whole, hashed, and free of any address."""

import re
from pathlib import Path

import pytest

LOCKS = sorted((Path(__file__).parents[3] / "requirements").glob("*.lock"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_lock_names_no_host_and_no_path(lock: Path) -> None:
    """No index, no link, no folder of the machine that made it."""
    lines = lock.read_text().splitlines()

    assert [line for line in lines if re.search(r"://|^-|^\s*--(?!hash=)|(^|\s)\.?/|@ ", line)] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_package_of_a_lock_has_a_version_and_hashes(lock: Path) -> None:
    """Pip's --require-hashes is possible."""
    entries = re.split(r"\n(?=\S)", lock.read_text().strip())

    assert len(entries) >= 1
    assert [
        entry for entry in entries if not re.match(r"[\w.-]+==\S+.*--hash=sha256:[0-9a-f]{64}", entry, re.DOTALL)
    ] == []


def test_the_demo_needs_no_torch() -> None:
    """The demo serves on a CPU engine, so its lock holds neither torch nor CUDA."""
    demo = (LOCKS[0].parent / "demo.lock").read_text()

    assert re.findall(r"^(torch|torchvision|nvidia-\S+|triton)==", demo, flags=re.MULTILINE) == []


def test_demo_and_dev_agree() -> None:
    """What both lock is the same version, so that the demo runs what was tested."""
    demo, dev = (
        dict(re.findall(r"^([\w.-]+)==(\S+)", (LOCKS[0].parent / f"{name}.lock").read_text(), re.MULTILINE))
        for name in ("demo", "dev")
    )

    assert {name: (version, dev.get(name)) for name, version in demo.items() if dev.get(name) != version} == {}
