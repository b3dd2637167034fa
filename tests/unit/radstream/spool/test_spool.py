"""The spool: what survives a kill at any point, and what does not."""

import hashlib
import os
import struct
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from radstream.spool import segments
from radstream.spool.aligned import PIECE_BYTES, Held
from radstream.spool.entry import Entry, Note
from radstream.spool.names import place_of, received_at
from radstream.spool.segment import SEGMENT_BYTES
from radstream.spool.spool import Spool, left_behind, waiting
from schemas.errors import SettingInvalid, SpoolFull
from schemas.identity import data_set_hasher
from schemas.words import Lane
from tests.notes import NOTE

AT = NOTE.received_at


def _note(lane: Lane = Lane.ROUTINE, at: datetime = AT) -> Note:
    return replace(NOTE, lane=lane, received_at=at)


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
    return spool.commit(incoming, replace(note or _note(), size_bytes=len(data)))


def _after_a_power_cut(folder: Path) -> Spool:
    (folder / "0" / "boot").write_text("another boot")
    return _spool(folder)


def _segments(folder: Path) -> list[Path]:
    return sorted((folder / "0").glob("*.seg"))


def _overwrite(entry: Entry, data: bytes, behind: int = 0) -> None:
    place = place_of(entry.name)
    assert place is not None
    with entry.path.open("r+b") as file:
        file.seek(place.start + behind)
        file.write(data)


def test_a_committed_image_is_there_after_a_restart(tmp_path: Path) -> None:
    """Bytes and note, to the microsecond."""
    spool = _spool(tmp_path)
    _committed(spool)
    spool.close()

    (entry,) = _spool(tmp_path).entries()

    assert entry.note == _note()
    with entry.open() as file:
        assert file.read(entry.note.size_bytes) == b"abc"


def test_each_image_keeps_its_own_bytes_in_a_segment(tmp_path: Path) -> None:
    """Images share a file: shorter and longer than what is written at a time, and with no room for the note in it."""
    spool = _spool(tmp_path)
    sizes = [1, 4096, PIECE_BYTES - 10, PIECE_BYTES, 2 * PIECE_BYTES + 5000, 3]
    given = [os.urandom(size) for size in sizes]
    entries = [_committed(spool, data=data) for data in given]
    spool.close()

    found = {entry.name: entry for entry in _spool(tmp_path).entries()}

    for entry, data in zip(entries, given, strict=True):
        with found[entry.name].open() as file:
            assert file.read(found[entry.name].note.size_bytes) == data
    assert len(_segments(tmp_path)) == 1


def test_two_images_at_a_time_stand_in_two_segments(tmp_path: Path) -> None:
    """So that neither waits for the other; one that is given up leaves room and no name."""
    spool = _spool(tmp_path)
    one, other = spool.begin(), spool.begin()
    one.write(b"one")
    other.write(b"other")

    other.discard()
    entry = spool.commit(one, _note())

    assert [found.name for found in spool.entries()] == [entry.name]
    assert len(_segments(tmp_path)) == 2
    again, beside = spool.begin(), spool.begin()
    again.write(b"abc")
    beside.write(b"xyz")
    assert len(_segments(tmp_path)) == 2
    for incoming, data in ((again, b"abc"), (beside, b"xyz")):
        with spool.commit(incoming, _note()).open() as file:
            assert file.read(3) == data


def test_an_image_has_its_name_when_it_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One fdatasync of all its bytes, then its name: promise 1."""
    spool = _spool(tmp_path)
    seen: list[tuple[int, list[Path]]] = []

    def watched(fd: int) -> None:
        seen.append((os.fstat(fd).st_ino, list((tmp_path / "0").glob("*.dcm"))))
        real(fd)

    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", watched)
    entry = _committed(spool)

    assert seen == [(entry.path.stat().st_ino, [])]


def test_what_has_arrived_can_be_read_before_it_is_whole(tmp_path: Path) -> None:
    """For a header that goes on behind what is kept in memory; what arrives afterwards is none the worse for it."""
    spool = _spool(tmp_path)
    data = os.urandom(PIECE_BYTES + 5000)
    incoming = spool.begin()
    incoming.write(data[:-99])

    path, start = incoming.settle()
    with path.open("rb") as file:
        file.seek(start)
        assert file.read(len(data) - 99) == data[:-99]
    incoming.write(data[-99:])
    entry = spool.commit(incoming, replace(_note(), size_bytes=len(data)))

    with entry.open() as file:
        assert file.read(len(data)) == data


@pytest.mark.parametrize("size", [5000, PIECE_BYTES - 40, PIECE_BYTES, 3 * PIECE_BYTES + 77, 16 * PIECE_BYTES - 9999])
def test_what_was_committed_is_still_in_memory(tmp_path: Path, size: int) -> None:
    """For who stores it at once; the same bytes as on the disk, until they are freed."""
    spool = _spool(tmp_path)
    data = os.urandom(size)
    incoming = spool.begin(b"preamble", holds=True)
    incoming.write(data)

    entry = spool.commit(incoming, replace(_note(), size_bytes=8 + size))

    assert incoming.held is not None
    assert b"".join(incoming.held.pieces) == b"preamble" + data
    with entry.open() as file:
        assert file.read(8 + size) == b"preamble" + data
    incoming.held.free()


def test_what_is_held_has_limits(tmp_path: Path) -> None:
    """Of one image and of all together; what is over them is on the disk alone, and freed room is used again."""
    spool = _spool(tmp_path)

    def held(size: int) -> Held | None:
        incoming = spool.begin(holds=True)
        incoming.write(bytes(size))
        spool.commit(incoming, replace(_note(), size_bytes=size))
        return incoming.held

    assert held(17 * PIECE_BYTES) is None
    many = [held(15 * PIECE_BYTES) for _ in range(4)]
    assert [one is None for one in many] == [False, False, False, True]
    for one in many:
        if one is not None:
            one.free()

    again = held(15 * PIECE_BYTES)

    assert again is not None


def test_an_image_that_is_given_up_holds_nothing(tmp_path: Path) -> None:
    """Or in the end none could be held."""
    spool = _spool(tmp_path)

    for _ in range(60):
        incoming = spool.begin(holds=True)
        incoming.write(bytes(PIECE_BYTES + 1))
        incoming.discard()

    incoming = spool.begin(holds=True)
    spool.commit(incoming, replace(_note(), size_bytes=0))
    assert incoming.held is not None


def test_the_hasher_sees_the_data_set_and_nothing_before_it(tmp_path: Path) -> None:
    """In pieces, each byte once."""
    spool = _spool(tmp_path)
    seen, data = hashlib.sha256(), os.urandom(PIECE_BYTES + 77)

    incoming = spool.begin(b"preamble", seen)
    incoming.write(data)
    incoming.hash_rest()

    assert seen.digest() == hashlib.sha256(data).digest()
    incoming.discard()


def test_what_was_arriving_is_gone_after_a_restart(tmp_path: Path) -> None:
    """An unfinished file is no image."""
    spool = _spool(tmp_path)
    spool.begin().write(b"half")
    spool.close()

    spool = _spool(tmp_path)

    assert not spool.entries()
    assert {path.name for path in (tmp_path / "0").iterdir()} == {"lock", "boot"}


def test_a_segment_is_used_again_when_no_image_needs_it(tmp_path: Path) -> None:
    """Its blocks are there, so the next images cost no allocation; what it held before is no image any more."""
    spool = Spool(tmp_path, "0", spare_bytes=SEGMENT_BYTES)
    spool.open()
    spool.prepare()
    (segment,) = _segments(tmp_path)
    for _ in range(2):
        spool.forwarded(_committed(spool))

    assert spool.checkpoint() == 2
    assert segment.stat().st_nlink == 1
    entry = _committed(spool, data=b"new")

    assert _segments(tmp_path) == [segment]
    assert segment.stat().st_nlink == 2
    assert segment.stat().st_size == SEGMENT_BYTES
    spool.close()
    assert [found.name for found in _after_a_power_cut(tmp_path).entries()] == [entry.name]


def test_an_image_longer_than_a_segment_fits(tmp_path: Path) -> None:
    """The segment grows with it, and is cut to its size when the image has gone."""
    spool = Spool(tmp_path, "0", spare_bytes=SEGMENT_BYTES)
    spool.open()
    spool.prepare()
    entry = _committed(spool, data=bytes(SEGMENT_BYTES + 1))

    assert entry.note.size_bytes == SEGMENT_BYTES + 1
    assert entry.path.stat().st_size > SEGMENT_BYTES
    spool.forwarded(entry)
    spool.checkpoint()
    assert [path.stat().st_size for path in _segments(tmp_path)] == [SEGMENT_BYTES]


def test_on_a_disk_that_is_filling_a_purged_image_gives_its_room_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, though its segment holds an image that waits."""
    monkeypatch.setattr(segments, "_SPARE_UNTIL_PERCENT", 0.0)
    spool = _spool(tmp_path)
    gone, stays = _committed(spool, data=bytes(8 * PIECE_BYTES)), _committed(spool)
    before = stays.path.stat().st_blocks
    spool.forwarded(gone)

    spool.checkpoint()

    assert before - stays.path.stat().st_blocks >= 8 * PIECE_BYTES // 512
    with stays.open() as file:
        assert file.read(3) == b"abc"


def test_what_is_kept_for_images_to_come_counts_as_free(tmp_path: Path) -> None:
    """Watermarks are of what images hold."""
    spool = Spool(tmp_path, "0", spare_bytes=2 * SEGMENT_BYTES)
    spool.open()
    found = os.statvfs(tmp_path)
    total = (found.f_blocks - found.f_bfree + found.f_bavail) * found.f_frsize

    spool.prepare()

    assert sum(path.stat().st_blocks for path in _segments(tmp_path)) * 512 >= 2 * SEGMENT_BYTES
    found = os.statvfs(tmp_path)
    by_df = 100 * (found.f_blocks - found.f_bfree) * found.f_frsize / total
    assert spool.used_percent() == pytest.approx(by_df - 100 * 2 * SEGMENT_BYTES / total, abs=0.02)


def test_a_file_system_without_direct_writes_takes_images_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then they go through the page cache."""
    monkeypatch.setattr(os, "O_DIRECT", os.O_DIRECTORY)  # refused for a file that is made, as such a file system does
    spool = _spool(tmp_path)

    entry = _committed(spool)

    with entry.open() as file:
        assert file.read(3) == b"abc"


def test_a_spool_of_files_is_an_older_releases_spool(tmp_path: Path) -> None:
    """An image in a file of its own is forwarded as it was left: object, note, the footer's last fields."""
    folder = tmp_path / "0"
    folder.mkdir()
    text = _note().to_bytes()
    (folder / "1000651a1e0cd8000c0ffee00.dcm").write_bytes(b"abc" + text + struct.pack(">I8s", len(text), b"RADSPOOL"))

    (entry,) = _spool(tmp_path).entries()

    assert (entry.note, entry.data_set) == (_note(), (0, 3))
    with entry.open() as file:
        assert file.read(3) == b"abc"


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

    (entry,) = _after_a_power_cut(tmp_path).entries()

    assert entry.note.doubted


def test_after_a_power_cut_torn_bytes_are_put_aside(tmp_path: Path) -> None:
    """The fdatasync had not ended, so nobody was told Success: no entry, and a person may look at it."""
    spool = _spool(tmp_path)
    whole, torn, cut = (_committed(spool, replace(_note(), sha256=hash_of_abc())) for _ in range(3))
    spool.close()
    _overwrite(torn, b"xyz")
    _overwrite(cut, bytes(4), behind=4092)

    spool = _after_a_power_cut(tmp_path)
    found = {entry.name: entry for entry in spool.entries()}

    assert {name: entry.is_whole() for name, entry in found.items()} == {whole.name: True, torn.name: False}
    spool.torn(found[torn.name])
    assert [entry.name for entry in spool.entries()] == [whole.name]
    assert spool.depth == 1
    assert {path.stem for path in (tmp_path / "0").glob("*.torn")} == {torn.name, cut.name}


def test_a_name_that_a_power_cut_took_is_found_again(tmp_path: Path) -> None:
    """Names are never synced; the record was, before Success. One that is not whole was never answered."""
    spool = _spool(tmp_path)
    data = os.urandom(PIECE_BYTES)
    hasher = data_set_hasher(_note().transfer_syntax_uid)
    hasher.update(data)
    lost = _committed(spool, replace(_note(), sha256=hasher.hexdigest()), data)
    half = _committed(spool)
    spool.close()
    lost.path.unlink()
    half.path.unlink()

    spool = _after_a_power_cut(tmp_path)

    (entry,) = spool.entries()
    assert (entry.name, entry.note.doubted, entry.is_whole(), spool.depth) == (lost.name, True, True, 1)


def test_a_name_that_a_power_cut_brought_back_is_no_image(tmp_path: Path) -> None:
    """It was removed before its segment was used again: neither it nor what an image's own bytes pretend counts."""
    spool = Spool(tmp_path, "0", spare_bytes=SEGMENT_BYTES)
    spool.open()
    spool.prepare()
    old = _committed(spool, replace(_note(), sha256=hash_of_abc()))
    spool.forwarded(old)
    with old.path.with_suffix(".done").open("rb") as file:
        file.seek(4096)
        record = file.read(4096)
    spool.checkpoint()
    _committed(spool, data=bytes(4096) + record)
    spool.close()
    old.path.hardlink_to(_segments(tmp_path)[0])
    for path in (tmp_path / "0").glob("*.dcm"):
        if path.stem != old.name:
            path.unlink()

    spool = _after_a_power_cut(tmp_path)

    assert spool.entries() == []
    assert list((tmp_path / "0").glob("*.torn")) == []


def test_what_a_spare_held_is_no_image_after_a_power_cut(tmp_path: Path) -> None:
    """It was forwarded, and a checkpoint has removed it."""
    spool = Spool(tmp_path, "0", spare_bytes=SEGMENT_BYTES)
    spool.open()
    spool.prepare()
    spool.forwarded(_committed(spool, replace(_note(), sha256=hash_of_abc())))
    spool.checkpoint()
    spool.close()

    assert _after_a_power_cut(tmp_path).entries() == []


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
    os.dup2(os.open("/dev/full", os.O_WRONLY), incoming._held._fd)  # noqa: SLF001 - a full disk, without filling one

    with pytest.raises(SpoolFull, match="errno"):
        incoming.write(bytes(PIECE_BYTES))
    incoming.discard()

    with _committed(spool).open() as file:  # in another segment: one bad place must not refuse every image
        assert file.read(3) == b"abc"


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
