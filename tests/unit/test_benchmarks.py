"""What the benchmarks read from the senders' logs is what the senders wrote there; none is left out of `make bench`."""

import ast
import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ROOT = BENCHMARKS.parent
FIGURES = runpy.run_path(str(BENCHMARKS.parent / "docs" / "figures.py"))
SENDERS = runpy.run_path(str(BENCHMARKS / "_senders.py"))

FIRST = """1795266906 040.377 checking input files ...
1795266906 040.449 Requesting Association
1795266906 040.953 Sending C-STORE Request (MsgID 1, DX)
1795266906 082.953 Received C-STORE Response (Success)
1795266906 083.043 Sending C-STORE Request (MsgID 2, DX)
1795266906 085.043 Received C-STORE Response (Refused: OutOfResources)
"""
SECOND = """1795266906 540.449 Requesting Association
1795266906 541.000 Sending Store Request (MsgID 1, DX)
1795266907 040.449 Received Store Response (Success)
"""


def test_time_runs_from_the_first_request_to_the_last_answer() -> None:
    """Over all senders; what they did before does not count."""
    sent = SENDERS["read_logs"]([FIRST, SECOND], 4)

    assert sent.seconds == pytest.approx(1.0)


def test_only_success_is_an_answer() -> None:
    """What was refused, and what was never answered, has failed."""
    sent = SENDERS["read_logs"]([FIRST, SECOND], 4)

    assert sent.answers_ms == pytest.approx([42.0, 499.449])
    assert sent.failed == 2
    assert sent.images_per_second == pytest.approx(2.0)


def test_a_sender_that_nobody_answered_sent_nothing() -> None:
    """The caller sees it from the empty list."""
    sent = SENDERS["read_logs"](["1795266906 040.449 Requesting Association\n"], 3)

    assert (sent.answers_ms, sent.failed) == ([], 3)


def test_every_benchmark_is_run_by_make_bench() -> None:
    """One that nobody lists is never measured again."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        listed = {one.name for one in runpy.run_path(str(BENCHMARKS / "all.py"))["BENCHMARKS"]}
    finally:
        sys.path.remove(str(BENCHMARKS))

    assert listed == {path.stem for path in BENCHMARKS.glob("[a-z]*.py")} - {"all"}


def test_every_figure_of_the_docs_has_its_benchmark() -> None:
    """The command above each table is one that exists."""
    assert [name for name in FIGURES["PARTS"] if not (BENCHMARKS / f"{name}.py").exists()] == []


def names_in(file: Path) -> set[str]:
    """Give what a module defines or imports, by reading it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {one.asname or one.name for one in names}
    return found


@pytest.mark.parametrize("program", sorted(BENCHMARKS.glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_imports_only_what_is_there(program: Path) -> None:
    """They run once in a while: a name that was taken away must be missed at once."""
    missing = [
        f"{node.module}.{name.name}"
        for node in ast.walk(ast.parse(program.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
        for file in (BENCHMARKS / f"{node.module}.py", ROOT / f"{node.module.replace('.', '/')}.py")
        if file.exists()
        for name in node.names
        if name.name not in names_in(file)
    ]

    assert missing == []
