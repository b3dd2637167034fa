"""The spool: what survives a kill at any point, and what does not."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from radstream.spool import Spool, left_behind, received_at, waiting
from radstream.spool_entry import Entry, Note
from schemas.errors import SettingInvalid, SpoolFull
from schemas.identity import data_set_hasher
from schemas.words import Lane

AT = datetime(2026, 11, 21, 5, 6, 7, 890123, tzinfo=UTC)


def _note(lane: Lane = Lane.ROUTINE, at: datetime = AT) -> Note:
    return Note(
        sop_instance_uid="1.2.3",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        calling_ae="CT1",
        called_ae="RADSTREAM",
        lane=lane,
        site="north",
        received_at=at,
        sha256="ab" * 32,
        size_bytes=3,
        data_set_offset=0,
    )


def hash_of_abc() -> str:
    """Give the hash of the bytes that these tests commit."""
    hasher = data_set_hasher(_note().transfer_syntax_uid)
    hasher.update(b"abc")
    return hasher.hexdigest()


def _spool(folder: Path) -> Spool:
    spool = Spool(folder, "0")
    spool.open()
    return spool


def _committed(spool: Spool, note: Note | None = None, data: bytes = b"abc") -> Entry:
    incoming = spool.begin()
    incoming.write(data)
    return spool.commit(incoming, note or _note())


def test_a_committed_image_is_there_after_a_restart(tmp_path: Path) -> None:
    """Bytes and note, to the microsecond."""
    spool = _spool(tmp_path)
    _committed(spool)
    spool.close()

    (entry,) = _spool(tmp_path).entries()

    assert entry.note == _note()
    with entry.open() as file:
        assert file.read(entry.note.size_bytes) == b"abc"


def test_what_was_arriving_is_gone_after_a_restart(tmp_path: Path) -> None:
    """An unfinished file is no image."""
    spool = _spool(tmp_path)
    spool.begin().write(b"half")
    spool.close()

    spool = _spool(tmp_path)

    assert not spool.entries()
    assert {path.name for path in (tmp_path / "0").iterdir()} == {"lock", "boot"}


def test_stat_is_first_then_the_oldest(tmp_path: Path) -> None:
    """The order in which a restart forwards."""
    spool = _spool(tmp_path)
    late, early = AT + timedelta(seconds=2), AT + timedelta(seconds=1)
    for note in (_note(at=late), _note(at=early), _note(Lane.STAT, at=late)):
        _committed(spool, note)

    found = [(entry.note.lane, entry.note.received_at) for entry in spool.entries()]

    assert found == [(Lane.STAT, late), (Lane.ROUTINE, early), (Lane.ROUTINE, late)]
    assert spool.depth == 3
    assert [entry.note for entry in spool.entries(1)] == [_note(Lane.STAT, at=late)]
    assert [entry.note.received_at for entry in spool.entries(before=early)] == [early]
    assert received_at(spool.entries(1)[0].name) == late
    stat = spool.entries(1)[0]
    assert len(spool.entries(9, without={stat.name})) == 2


def test_a_forwarded_image_stays_until_a_checkpoint(tmp_path: Path) -> None:
    """It waits no more, but its bytes stay; the checkpoint removes them."""
    spool = _spool(tmp_path)
    entry = _committed(spool)

    spool.forwarded(entry)

    assert (spool.depth, spool.kept, spool.entries()) == (0, 1, [])
    assert entry.path.with_suffix(".done").exists()
    assert spool.checkpoint() == 1
    assert not entry.path.with_suffix(".done").exists()
    assert spool.checkpoint() == 0


def test_a_checkpoint_after_a_restart_removes_what_was_forwarded_before(tmp_path: Path) -> None:
    """A kill between forwarding and checkpoint leaks no file."""
    spool = _spool(tmp_path)
    spool.forwarded(_committed(spool))
    spool.close()

    assert _spool(tmp_path).checkpoint() == 1


def test_after_a_power_cut_forwarded_images_wait_again(tmp_path: Path) -> None:
    """Another boot: what servers answered without fsync may be gone."""
    spool = _spool(tmp_path)
    spool.forwarded(_committed(spool))
    spool.close()
    (tmp_path / "0" / "boot").write_text("another boot")

    (entry,) = _spool(tmp_path).entries()

    assert entry.note.doubted


def test_after_a_power_cut_torn_bytes_are_put_aside(tmp_path: Path) -> None:
    """The fsync had not ended, so nobody was told Success: no entry, and a person may look at it."""
    spool = _spool(tmp_path)
    whole, torn, cut = (_committed(spool, replace(_note(), sha256=hash_of_abc())) for _ in range(3))
    spool.close()
    with torn.path.open("r+b") as file:
        file.write(b"xyz")
    os.truncate(cut.path, 100)
    (tmp_path / "0" / "boot").write_text("another boot")

    spool = _spool(tmp_path)
    found = {entry.name: entry for entry in spool.entries()}

    assert {name: entry.is_whole() for name, entry in found.items()} == {whole.name: True, torn.name: False}
    spool.torn(found[torn.name])
    assert [entry.name for entry in spool.entries()] == [whole.name]
    assert spool.depth == 1
    assert {path.stem for path in (tmp_path / "0").glob("*.torn")} == {torn.name, cut.name}


def test_a_slot_has_one_owner(tmp_path: Path) -> None:
    """The lock goes with the process; another slot is free."""
    spool = _spool(tmp_path)

    with pytest.raises(SettingInvalid, match="RADSTREAM_LISTENER_SLOT=0"):
        Spool(tmp_path, "0").open()
    Spool(tmp_path, "1").open()
    spool.close()
    Spool(tmp_path, "0").open()


def test_a_full_disk_is_spool_full_and_keeps_nothing(tmp_path: Path) -> None:
    """A folder that is gone stands for a disk that fails: no entry, no file, one error."""
    spool = _spool(tmp_path)
    incoming = spool.begin()
    incoming.write(b"abc")
    (tmp_path / "0").rename(tmp_path / "gone")

    with pytest.raises(SpoolFull):
        spool.commit(incoming, _note())
    assert spool.depth == 0


def test_a_write_that_fails_is_spool_full(tmp_path: Path) -> None:
    """/dev/full answers ENOSPC."""
    spool = _spool(tmp_path)
    incoming = spool.begin()
    os.dup2(os.open("/dev/full", os.O_WRONLY), incoming._fd)  # noqa: SLF001 - a full disk, without filling one

    with pytest.raises(SpoolFull, match="errno 28"):
        incoming.write(b"abc")
    incoming.discard()


def test_those_who_only_look_see_every_slot(tmp_path: Path) -> None:
    """Without a lock, without a change."""
    spool = _spool(tmp_path)
    _committed(spool)
    spool.forwarded(_committed(spool))
    other = Spool(tmp_path, "1")
    other.open()
    _committed(other)

    assert waiting(tmp_path) == [_note(), _note()]
    assert waiting(tmp_path / "none") == []


def test_how_full_it_is_is_a_share(tmp_path: Path) -> None:
    """Between 0 and 100; a folder that can't be asked is full."""
    spool = _spool(tmp_path)

    assert 0 < spool.used_percent() < 100
    assert Spool(tmp_path / "none", "0").used_percent() == 100


def test_a_slot_takes_over_what_another_left(tmp_path: Path) -> None:
    """Waiting and forwarded images move with bytes and note; nothing stays behind."""
    other = Spool(tmp_path, "1")
    other.open()
    _committed(other)
    other.forwarded(_committed(other))
    own = _spool(tmp_path)
    assert left_behind(tmp_path, {"0"}) == ["1"]

    assert own.take_over(other) == 2

    (entry,) = own.entries()
    assert entry.note == _note()
    assert (own.depth, own.kept) == (1, 1)
    assert left_behind(tmp_path, {"0"}) == []
    assert {path.name for path in (tmp_path / "1").iterdir()} == {"lock", "boot"}
    assert own.checkpoint() == 1


def test_an_adoption_that_was_killed_loses_and_doubles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed when it has moved one of three: after the next starts each image is there once."""
    other = Spool(tmp_path, "1")
    other.open()
    for number in range(3):
        _committed(other, _note(at=AT + timedelta(seconds=number)))
    own = _spool(tmp_path)
    calls = []

    def dying(path: Path, *args: object, **named: object) -> object:
        if calls:
            raise KeyboardInterrupt  # as a kill: nothing is cleaned up
        calls.append(path)
        return real(path, *args, **named)  # type: ignore[arg-type]

    real = Path.rename
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", dying)
        with pytest.raises(KeyboardInterrupt):
            own.take_over(other)
    own.close()
    other.close()
    own, other = _spool(tmp_path), Spool(tmp_path, "1")
    other.open()
    own.take_over(other)

    assert [entry.note.received_at for entry in own.entries()] == [AT + timedelta(seconds=n) for n in range(3)]
    assert left_behind(tmp_path, {"0"}) == []
