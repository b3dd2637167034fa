"""The auditor notices each breach: a crash test is worth what its checks are worth."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from tests.crash.audit import Books, unfinished

ACKNOWLEDGED, WHOLE, LOST, STRANGE = (UUID(int=number) for number in range(1, 5))
GOOD = Books(
    sent={ACKNOWLEDGED, WHOLE, LOST},
    acknowledged={ACKNOWLEDGED},
    events=[ACKNOWLEDGED, WHOLE],
    rows={ACKNOWLEDGED: "acknowledged", WHOLE: "acknowledged"},
    broken=(),
)


def test_what_was_sent_and_not_acknowledged_may_or_may_not_be_in_the_log() -> None:
    """An image that its sender gave up is whole in the log, or not there at all."""
    assert GOOD.breaches() == []


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (replace(GOOD, acknowledged={ACKNOWLEDGED, LOST}), f"{LOST}: acknowledged, and not in the log"),
        (replace(GOOD, events=[ACKNOWLEDGED, WHOLE, WHOLE]), f"{WHOLE}: more than once in the log"),
        (
            replace(GOOD, events=[*GOOD.events, STRANGE], rows={**GOOD.rows, STRANGE: "acknowledged"}),
            f"{STRANGE}: in the log, and not whole or never sent",
        ),
        (replace(GOOD, broken=[WHOLE]), f"{WHOLE}: in the log, and its object is not what was sent"),
        (replace(GOOD, rows={ACKNOWLEDGED: "acknowledged"}), f"{WHOLE}: in the log, and not in the journal"),
        (replace(GOOD, rows={**GOOD.rows, LOST: "acknowledged"}), f"{LOST}: in the journal, and not in the log"),
        (replace(GOOD, rows={**GOOD.rows, WHOLE: "publishing"}), f"{WHOLE}: not acknowledged in the journal"),
    ],
)
def test_each_breach_is_named(bad: Books, said: str) -> None:
    """One breach, one line."""
    assert bad.breaches() == [said]


def test_only_forwarded_files_are_finished(tmp_path: Path) -> None:
    """An image that arrives, waits, is doubted or torn is unfinished; a forwarded one is not."""
    for name in ("a.part", "b.dcm", "c.doubt", "d.torn", "e.done", "lock", "boot"):
        (tmp_path / name).touch()

    assert {path.name for path in unfinished(tmp_path)} == {"a.part", "b.dcm", "c.doubt", "d.torn"}
