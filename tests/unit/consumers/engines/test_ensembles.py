"""Several packages that answer as one: the mean by hand, and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from typer.testing import CliRunner

from consumers.engines.choice import open_engine
from consumers.engines.engine import Inference
from consumers.engines.ensemble_engine import mean_of
from consumers.imaging.calibration import probabilities_of
from consumers.imaging.inputs import normalise
from consumers.models.loaded import load_model
from consumers.packages.ensembles import Member, ensemble_version
from consumers.packages.package import ModelPackage, load_package
from radstream.commands.made_ensemble import EnsembleOrder, make_ensemble
from radstream.commands.model import app
from schemas.errors import ModelRefused, WrongCall
from schemas.model_package import GRAPH, MANIFEST, REFERENCE
from training.datasets import read_parts
from training.operating import choose_threshold, fit_temperature
from training.splits import Part

Document = dict[str, object]


def batch(images: int = 3) -> NDArray[np.float32]:
    """Make normalised images."""
    return np.random.default_rng(2).normal(0, 1, (images, 3, 32, 32)).astype(np.float32)


def other(made: Path, root: Path, version: str, change: Callable[[Document], object]) -> ModelPackage:
    """Copy the package under another version, its manifest changed."""
    folder = Path(shutil.copytree(made, root / "tiny" / version))
    described = json.loads((folder / MANIFEST).read_bytes()) | {"version": version}
    change(described)
    (folder / MANIFEST).write_text(json.dumps(described))
    return load_package(folder)


@pytest.fixture
def members(made: Path, tmp_path: Path) -> list[ModelPackage]:
    """Give two packages that answer differently: their temperatures and thresholds differ."""
    return [
        other(made, tmp_path, "0.1.0", lambda m: m.update(threshold={"value": 0.01})),
        other(
            made, tmp_path, "0.2.0",
            lambda m: m.update(calibration={"temperature": 9.0}, threshold={"value": 0.99}),
        ),
    ]  # fmt: skip


@pytest.fixture
def ensemble(members: list[ModelPackage], tmp_path: Path) -> ModelPackage:
    """Give the ensemble of both, its threshold given."""
    return make_ensemble(EnsembleOrder(members=members, out=tmp_path, threshold=0.4))


@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.integers(2, 5))
def test_the_answer_is_the_mean_of_the_members_probabilities(seed: int, members: int, classes: int) -> None:
    """Computed by hand, for any logits, those included whose probability no float holds; and always a number."""
    random = np.random.default_rng(seed)
    logits = (random.normal(0, 1, (members, 4, classes)) * 10 ** random.uniform(-1, 2.9)).astype(np.float32)
    temperatures = random.uniform(0.25, 20, members).tolist()
    nothing = np.zeros((4, 1), np.float32)
    by_hand = np.mean([probabilities_of(one, t) for one, t in zip(logits, temperatures, strict=True)], axis=0)

    found = mean_of([Inference(one, nothing) for one in logits], temperatures)

    assert np.isfinite(found.logits).all()
    np.testing.assert_allclose(probabilities_of(found.logits, 1.0), by_hand, rtol=2e-3, atol=1e-7)
    assert found.members is not None
    np.testing.assert_allclose(found.members.mean(axis=1), by_hand, atol=1e-6)


def test_a_package_of_two_answers_with_their_mean(ensemble: ModelPackage, members: list[ModelPackage]) -> None:
    """From the file, through the engine of each, on a batch; each row of it alone gives the same."""
    engine = open_engine(ensemble, "onnxruntime")
    alone = [open_engine(one, "onnxruntime").infer(batch()).logits for one in members]
    temperatures = [one.manifest.operating.temperature for one in members]
    by_hand = np.mean([probabilities_of(one, t) for one, t in zip(alone, temperatures, strict=True)], axis=0)

    answer = engine.infer(batch())

    np.testing.assert_allclose(probabilities_of(answer.logits, 1.0), by_hand, atol=1e-6)
    np.testing.assert_allclose(engine.infer(batch()[1:2]).logits, answer.row(1).logits, atol=1e-5)
    assert load_model(ensemble, "onnxruntime").worth.members == (0.01, 0.99)


def test_the_map_is_the_mean_of_maps_of_one_shape_else_the_first_one() -> None:
    """Each member's in units of its calibrated logit."""
    zeros = np.zeros((1, 2), np.float32)
    flat, steep = np.ones((1, 2, 2, 2), np.float32), np.full((1, 2, 2, 2), 6, np.float32)
    small = np.ones((1, 2, 1, 1), np.float32)

    def found(*maps: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        return mean_of([Inference(zeros, zeros, one) for one in maps], [1.0, 2.0]).evidence

    np.testing.assert_array_equal(found(flat, steep), 2 * flat)
    np.testing.assert_array_equal(found(flat, small), flat)
    np.testing.assert_array_equal(found(flat, None), flat)
    assert found(None, flat) is None


def test_the_version_follows_from_what_is_in_it() -> None:
    """The same parts have one name, whoever makes them; other bytes, order, temperature or threshold have another."""
    one, two = Member("1.0.0", "a" * 64), Member("1.10.0-int8", "b" * 64)
    name = ensemble_version([one, two], 1.0, 0.5)

    others = [
        ensemble_version([two, one], 1.0, 0.5),
        ensemble_version([one, Member("1.10.0-int8", "c" * 64)], 1.0, 0.5),
        ensemble_version([one, two], 1.5, 0.5),
        ensemble_version([one, two], 1.0, 0.4),
    ]

    assert name == ensemble_version([one, two], 1.0, 0.5)
    assert name.startswith("1.10.0-ensemble.")
    assert len({name, *others}) == 5


def test_a_given_threshold_stands_and_no_score_histogram_is_made_up(
    ensemble: ModelPackage, members: list[ModelPackage]
) -> None:
    """What was not measured is not there; what films look like is the first member's."""
    theirs = json.loads(members[0].read(REFERENCE))

    reference = json.loads(ensemble.read(REFERENCE))

    assert ensemble.manifest.operating.threshold == 0.4
    assert ensemble.manifest.described["metrics"] == {}
    assert reference["features"].keys() == theirs["features"].keys() - {"score"}
    assert "near_threshold" not in reference


def test_films_fix_temperature_and_threshold_and_measure_them(members: list[ModelPackage], tmp_path: Path) -> None:
    """On validation, from the mean by hand; the test part measures, and the score's histogram is the mean's."""
    data = films_in(tmp_path / "films")
    parts = read_parts(data, ("NORMAL", "PNEUMONIA"), members[0].manifest.input)
    validation = parts[Part.VALIDATION]
    tensors = np.stack([normalise(image, members[0].manifest.input) for image in validation.images])
    answers = [open_engine(one, "onnxruntime").infer(tensors).logits for one in members]
    temperatures = [one.manifest.operating.temperature for one in members]
    mean = np.mean([probabilities_of(one, t) for one, t in zip(answers, temperatures, strict=True)], axis=0)

    made = make_ensemble(EnsembleOrder(members=members, out=tmp_path, data=data, recall_wanted=0.9))

    operating, described = made.manifest.operating, made.manifest.described
    assert operating.temperature == pytest.approx(fit_temperature(np.log(mean), validation.labels), abs=0.02)
    scores = probabilities_of(np.log(mean), operating.temperature)[:, 1]
    assert operating.threshold == pytest.approx(choose_threshold(scores, validation.labels, 0.9).value, abs=0.002)
    assert described["threshold"]["chosen_on"] == "validation"
    assert described["metrics"]["test"]["auc"]["n"] == len(parts[Part.TEST])
    reference = json.loads(made.read(REFERENCE))
    assert sum(reference["features"]["score"]["counts"]) == len(validation)
    assert reference["near_threshold"]["low"] < operating.threshold < reference["near_threshold"]["high"]


def films_in(folder: Path) -> Path:
    """Draw 80 films of noise, half of them brighter, of a patient each."""
    folder.mkdir()
    random = np.random.default_rng(0)
    lines = ["file,label,patient"]
    for number in range(80):
        film = np.clip(random.normal(90 + 40 * (number % 2), 25, (32, 32)), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), film)
        lines.append(f"{number}.png,{('NORMAL', 'PNEUMONIA')[number % 2]},p{number}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def test_a_member_that_does_not_verify_refuses_the_ensemble(
    ensemble: ModelPackage, members: list[ModelPackage]
) -> None:
    """A damaged graph, another package under the member's number, a member that is gone."""
    content = members[1].read(GRAPH)
    (members[1].folder / GRAPH).write_bytes(b"damaged")
    with pytest.raises(ModelRefused, match=r"0\.2\.0/model.onnx has SHA-256"):
        load_package(ensemble.folder)

    (members[1].folder / GRAPH).write_bytes(content)
    assert load_package(ensemble.folder).members[1].digest == members[1].digest
    described = json.loads((members[1].folder / MANIFEST).read_bytes())
    (members[1].folder / MANIFEST).write_text(json.dumps(described, indent=1))
    with pytest.raises(ModelRefused, match="another package than the one that it was made of"):
        load_package(ensemble.folder)

    shutil.rmtree(members[1].folder)
    with pytest.raises(ModelRefused, match="missing"):
        load_package(ensemble.folder)


CHANGES: dict[str, tuple[Callable[[Document], object], str]] = {
    "a member that escapes": (lambda m: m["members"][0].update(version="../x"), "members"),
    "a hash that is none": (lambda m: m["members"][0].update(manifest="abc"), "members"),
    "one member": (lambda m: m["members"].pop(), "2 to 8"),
    "a member twice": (lambda m: m["members"].append(m["members"][0]), "2 to 8"),
    "no members": (lambda m: m.update(members=[]), "0 members"),
    "an architecture": (lambda m: m.update(architecture="resnet50"), "2 members"),
    "another threshold": (lambda m: m["threshold"].update(value=0.3), "of an ensemble that is"),
    "another order": (lambda m: m["members"].reverse(), "of an ensemble that is"),
    "other classes": (lambda m: m.update(classes=["CLEAR", "PNEUMONIA"]), "other classes"),
    "a network of its own": (lambda m: m["files"].update({GRAPH: "0" * 64}), "exactly"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES.keys())
def test_a_manifest_that_makes_no_sense_is_refused(
    change: Callable[[Document], object], said: str, ensemble: ModelPackage
) -> None:
    """The message says what is wrong."""
    described = json.loads((ensemble.folder / MANIFEST).read_bytes())
    change(described)
    (ensemble.folder / MANIFEST).write_text(json.dumps(described))

    with pytest.raises(ModelRefused, match=said):
        load_package(ensemble.folder)


def test_an_ensemble_that_answers_wrongly_is_refused(ensemble: ModelPackage) -> None:
    """Each member passes its own test, and together they don't say what the manifest says."""
    described = json.loads((ensemble.folder / MANIFEST).read_bytes()) | {"self_test": {"logits": [-9.0, -0.1]}}
    (ensemble.folder / MANIFEST).write_text(json.dumps(described))

    with pytest.raises(ModelRefused, match="self-test"):
        open_engine(load_package(ensemble.folder), "onnxruntime")


def test_what_can_not_be_an_ensemble_is_not_written(
    ensemble: ModelPackage, members: list[ModelPackage], tmp_path: Path
) -> None:
    """One member, no operating point, an ensemble of ensembles, the same one again."""
    with pytest.raises(WrongCall, match="2 to 8"):
        make_ensemble(EnsembleOrder(members=members[:1], out=tmp_path, threshold=0.4))
    with pytest.raises(WrongCall, match="one of the two"):
        make_ensemble(EnsembleOrder(members=members, out=tmp_path))
    with pytest.raises(WrongCall, match="there already"):
        make_ensemble(EnsembleOrder(members=members, out=tmp_path, threshold=0.4))
    with pytest.raises(ModelRefused, match="an ensemble itself"):
        make_ensemble(EnsembleOrder(members=[members[0], ensemble], out=tmp_path, threshold=0.4))
    assert len(list((tmp_path / "tiny").iterdir())) == 3


def test_the_command_makes_it_of_versions(members: list[ModelPackage], tmp_path: Path) -> None:
    """Where they lie, and prints the version that follows."""
    words = ["ensemble", "tiny", "--member", "0.1.0", "--member", "0.2.0", "--threshold", "0.4", "--json"]

    done = CliRunner().invoke(app, words, env={"RADSTREAM_MODEL_DIR": str(tmp_path / "tiny" / "0.1.0")})

    assert done.exit_code == 0, done.output
    row = json.loads(done.stdout)
    assert row["members"] == [one.manifest.version for one in members]
    assert load_package(Path(row["package"])).manifest.version == row["version"]
