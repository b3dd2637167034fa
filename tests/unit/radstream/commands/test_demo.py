"""The demo's bookkeeping: each file has one end, results find their file, labels judge the test part only."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydicom import dcmread

from radstream.commands.demo_fates import Fate, Fates, event_of
from radstream.commands.demo_labels import Label, quality, read_labels
from radstream.commands.demo_system import chosen_offset
from radstream.commands.send_files import Film, film_of
from radstream.commands.send_scu import Answer, Pace, send_films
from radstream.results import Result
from radstream.stack.site import site_of
from schemas.errors import WrongCall
from schemas.identity import Pseudonyms, data_set_hasher, event_id, result_id
from tests.unit.radstream.commands.test_tables import RESULT
from training.splits import Part, part_of

KEYS = Pseudonyms(b"k" * 32, "1")


def films(paths: list[Path]) -> list[Film]:
    """Read phantoms."""
    return [film for path in paths if (film := film_of(path, path.parent))]


def result_of(film: Film, **changed: Any) -> Result:
    """Make the result that a film's event has."""
    named = result_id(event_of(film, KEYS), RESULT.model, RESULT.model_version, RESULT.role)
    return replace(RESULT, result_id=named, sop_instance_uid=film.sop_instance_uid, **changed)


def test_a_films_event_is_that_of_the_bytes_which_travel(archive: Any, phantoms: list[Path]) -> None:
    """The demo names an event as the listener does: from what arrives by C-STORE."""
    (film,) = films(phantoms[:1])
    list(send_films([film], archive.peer, Pace()))
    (stored,) = archive.stored
    hasher = data_set_hasher(stored.transfer_syntax_uid)
    hasher.update(stored.data_set)

    assert event_of(film, KEYS) == event_id(KEYS.uid(stored.sop_instance_uid), hasher.hexdigest())


def test_each_file_ends_in_one_of_three_ways(phantoms: list[Path]) -> None:
    """Evaluated, not evaluated with its reason, or refused with its status."""
    sent = films(phantoms[:4])
    fates = Fates(sent, [Path("notes.txt")], KEYS)
    for film, status in zip(sent, ("0x0000", "0x0000", "0xA700", "0x0000"), strict=True):
        fates.answered(Answer(film, status, 5.0))
    fates.completed(result_of(sent[0]))
    fates.completed(result_of(sent[1], outcome="not_evaluated", reason="view", finding=None, probabilities=None))

    assert {one.file.name: one.ending for one in fates.all()} == {
        "notes.txt": "refused (not_dicom)",
        sent[0].file.name: "evaluated",
        sent[1].file.name: "not evaluated (view)",
        sent[2].file.name: "refused (0xA700)",
        sent[3].file.name: "no result",
    }
    assert fates.counts() == {"all": 5, "answered": 5, "acknowledged": 3, "results": 2, "refused": 2}


def test_a_pseudonymous_result_finds_its_file(phantoms: list[Path]) -> None:
    """Without the vault's key a result bears the pseudonym; the demo knows it by that, too."""
    (film,) = films(phantoms[:1])
    fates = Fates([film], [], KEYS)

    ends = fates.completed(replace(result_of(film), sop_instance_uid=KEYS.uid(film.sop_instance_uid)))

    assert [one.file for one in ends] == [film.file]


def test_two_contents_of_one_uid_stay_two(phantoms: list[Path], tmp_path: Path) -> None:
    """A result belongs to the bytes that it was made from, not to everything of that UID."""
    other = dcmread(phantoms[0])
    other.PatientName = "PHANTOM^CORRECTED"
    other.save_as(tmp_path / "corrected.dcm", enforce_file_format=True)
    first, second = films([phantoms[0], tmp_path / "corrected.dcm"])
    fates = Fates([first, second], [], KEYS)

    ends = fates.completed(result_of(second))

    assert first.sop_instance_uid == second.sop_instance_uid
    assert [one.file for one in ends] == [second.file]


def test_a_result_of_another_run_belongs_to_no_file(phantoms: list[Path]) -> None:
    """What is in the database from before is not shown as this run's."""
    fates = Fates(films(phantoms[:1]), [], KEYS)

    assert fates.completed(replace(RESULT, result_id=UUID(int=77))) == []
    assert [one.ending for one in fates.all()] == ["no result"]


def test_a_file_under_way_is_neither_refused_nor_acknowledged() -> None:
    """Nothing is said before the answer came."""
    fate = Fate(Path("a.dcm"))

    assert (fate.acknowledged, fate.refused) == (False, False)


def test_accuracy_is_that_of_the_test_part_alone() -> None:
    """Images of patients that the model may know are counted apart, right or wrong."""
    said = [
        (Label("PNEUMONIA", Part.TEST), "PNEUMONIA"),
        (Label("NORMAL", Part.TEST), "PNEUMONIA"),
        (Label("NORMAL", Part.TEST), "NORMAL"),
        (Label("NORMAL", Part.TEST), None),
        (Label("NORMAL", Part.TRAIN), "PNEUMONIA"),
        (Label("NORMAL", Part.VALIDATION), "NORMAL"),
    ]

    found = quality(said)

    assert found.accuracy is not None
    assert (round(found.accuracy.value, 3), found.accuracy.n) == (0.667, 3)
    assert (round(found.accuracy.low, 3), round(found.accuracy.high, 3)) == (0.208, 0.939)
    assert {name: (one.value, one.n) for name, one in found.by_label.items()} == {
        "NORMAL": (0.5, 2),
        "PNEUMONIA": (1.0, 1),
    }
    assert (found.test_not_evaluated, found.apart) == (1, {Part.TRAIN: 1, Part.VALIDATION: 1})


def test_without_a_film_of_the_test_part_no_accuracy_is_claimed() -> None:
    """A share of nothing is no number."""
    assert quality([(Label("NORMAL", Part.TRAIN), "NORMAL")]).accuracy is None


def test_labels_are_read_with_the_patients_part(tmp_path: Path) -> None:
    """The part comes from the patient by the rule of every data set, never from the file."""
    (tmp_path / "labels.csv").write_text("file,label,subtype,patient\na/1.png,NORMAL,,p4\n")

    assert read_labels(tmp_path) == {tmp_path / "a" / "1.png": Label("NORMAL", part_of("p4"))}
    assert read_labels(tmp_path / "nowhere") == {}


def test_labels_without_the_columns_are_refused(tmp_path: Path) -> None:
    """The message names the file and the columns."""
    (tmp_path / "labels.csv").write_text("name,class\nx,y\n")

    with pytest.raises(WrongCall, match="file, label and patient"):
        read_labels(tmp_path)


def test_a_set_offset_is_kept_and_a_free_one_is_found(tmp_path: Path) -> None:
    """What a person sets counts; else the site's own offset, as long as its ports are free."""
    given = {"RADSTREAM_STATE_DIR": str(tmp_path), "RADSTREAM_PORT_OFFSET": "12300"}

    assert chosen_offset(given, site_of(given)) == 12300
    assert chosen_offset({}, site_of(given)) >= 0
