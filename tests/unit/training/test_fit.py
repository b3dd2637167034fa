"""A real fit on a tiny data set, from the command to an engine that serves the package."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from consumers.engines.choice import open_engine
from consumers.imaging.decision import decide
from consumers.imaging.preprocess import to_tensor
from consumers.packages.package import load_package
from consumers.results.worth import Worth
from schemas.model_package import CARD, FILES, REFERENCE
from training.datasets import read_examples, read_films
from training.splits import Part, part_of

CLASSES = ("NORMAL", "PNEUMONIA")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw 120 films of noise; half of them have a bright disc, which is the "finding"."""
    folder = tmp_path_factory.mktemp("films")
    random = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "label", "subtype", "patient"])
        for index in range(120):
            film = random.normal(90, 15, (48, 48))
            if index % 2:
                cv2.circle(film, tuple(random.integers(14, 34, 2).tolist()), 8, 200, -1)
            cv2.imwrite(str(folder / f"{index}.png"), np.clip(film, 0, 255).astype(np.uint8))
            table.writerow([f"{index}.png", CLASSES[index % 2], "", f"p{index // 2 * 2 + index % 2}"])
    return folder


def fit(data: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would."""
    options = ["--architecture", "baseline_cnn", "--no-imagenet", "--pixels", "48", "--epochs", "8", "--json", *more]
    command = [sys.executable, "-m", "training", "fit", "--data", str(data), "--out", str(out), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)


@pytest.fixture(scope="module")
def fitted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Fit once; give what the command printed."""
    done = fit(data, tmp_path_factory.mktemp("models"), "--external", str(data))
    assert done.returncode == 0, done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


def test_the_command_reports_one_object(fitted: dict[str, object]) -> None:
    """Its fields are the public ones."""
    assert {"run_id", "model", "version", "metrics", "verdict", "reasons"} <= fitted.keys()
    assert fitted["metrics"]["auc"]["value"] > 0.9


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "torch"])
def test_a_fitted_package_serves_and_repeats_its_own_metrics(
    engine: str, fitted: dict[str, object], data: Path
) -> None:
    """Verified, loaded, self-tested; and its accuracy on test is what the manifest says."""
    package = load_package(Path(str(fitted["package"])))
    spec, operating = package.manifest.input, package.manifest.operating
    films = [film for film in read_films(data, CLASSES) if part_of(film.patient) is Part.TEST]
    images = [cv2.imread(str(data / film.file), cv2.IMREAD_GRAYSCALE) for film in films]

    answer = open_engine(package, engine).infer(np.stack([to_tensor(image, spec) for image in images]))

    right = [decide(row, operating).finding == film.label for row, film in zip(answer.logits, films, strict=True)]
    assert np.mean(right) == pytest.approx(package.manifest.described["metrics"]["test"]["accuracy"]["value"])


def test_the_projection_is_standardised_over_the_films_it_was_made_from(fitted: dict[str, object], data: Path) -> None:
    """Mean 0 and deviation 1 in each used number: drift is then in units of the film's own spread."""
    package = load_package(Path(str(fitted["package"])))
    films = [film for film in read_films(data, CLASSES) if part_of(film.patient) is Part.TRAIN]
    examples = read_examples(data, films, CLASSES, package.manifest.input)
    batch = np.stack([to_tensor(image, package.manifest.input) for image in examples.images])

    projection = open_engine(package, "onnxruntime").infer(batch).projection

    used = projection.std(0) > 0
    assert used.sum() >= 4
    np.testing.assert_allclose(projection[:, used].mean(0), 0, atol=0.05)
    np.testing.assert_allclose(projection[:, used].std(0)[:4], 1, atol=0.1)


def test_the_reference_holds_every_validation_film_once(fitted: dict[str, object], data: Path) -> None:
    """In each feature's histogram: under, bins, over and nan."""
    reference = json.loads((Path(str(fitted["package"])) / "reference.json").read_bytes())
    films = sum(part_of(film.patient) is Part.VALIDATION for film in read_films(data, CLASSES))

    for name in ("score", "brightness", "contrast"):
        feature = reference["features"][name]
        assert len(feature["counts"]) == len(feature["edges"]) + 2
        assert sum(feature["counts"]) == reference["n"] == films


def test_the_card_says_what_it_must(fitted: dict[str, object]) -> None:
    """Use, limits, data, intervals, other sites."""
    card = (Path(str(fitted["package"])) / "MODEL_CARD.md").read_text()

    for words in ("Not for diagnostic use", "must not be used for", "95 % interval", "Licence", "On other sites"):
        assert words in card


def test_a_version_that_exists_is_not_overwritten(fitted: dict[str, object], data: Path) -> None:
    """One line, exit status 1, and the package as it was."""
    folder = Path(str(fitted["package"]))
    before = (folder / "manifest.json").read_bytes()

    done = fit(data, folder.parents[1], "--epochs", "1")

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("training: ")
    assert (folder / "manifest.json").read_bytes() == before
    assert [entry.name for entry in folder.parent.iterdir()] == [folder.name]


def test_a_folder_that_can_not_be_trained_on_is_one_clear_line(tmp_path: Path) -> None:
    """Exit status 1, no traceback, nothing written."""
    done = fit(tmp_path, tmp_path / "models")

    assert done.returncode == 1
    fault = f"{tmp_path}/labels.csv can't be read (No such file or directory)"
    assert done.stderr.splitlines() == [f"training: {fault}; --data wants a folder with labels.csv"]
    assert not (tmp_path / "models").exists()


def test_a_package_is_issued_again_with_its_weights_and_the_limits_of_its_data(
    fitted: dict[str, object], data: Path, tmp_path: Path
) -> None:
    """Another version and a new reference; network, threshold and metrics are the same, and every hash is right."""
    before = load_package(Path(str(fitted["package"])))
    command = ["reissue", str(before.folder), "--data", str(data), "--version", "1.1.0", "--out", str(tmp_path)]

    done = subprocess.run([sys.executable, "-m", "training", *command], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    after = load_package(tmp_path / "chest-pneumonia" / "1.1.0")
    assert after.manifest.version == "1.1.0"
    assert {name for name in FILES if after.read(name) != before.read(name)} <= {REFERENCE, CARD}
    kept = ("threshold", "calibration", "metrics", "self_test", "training")
    assert [after.manifest.described[name] for name in kept] == [before.manifest.described[name] for name in kept]
    worth = Worth.from_reference(after.read(REFERENCE))
    assert worth.novelty is not None
    assert worth.near_threshold is not None
    low, high = worth.near_threshold
    assert low <= after.manifest.operating.threshold <= high
