"""An int8 package from a float32 one: made, calibrated anew, judged, and served by both CPU engines."""

import csv
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from consumers.engines.choice import choose, open_engine
from consumers.engines.engine import agreement
from consumers.imaging.preprocess import to_tensor
from consumers.packages.package import load_package
from schemas.errors import SettingInvalid, WrongCall
from training.datasets import read_films
from training.quantise import QuantiseOrder, quantise
from training.quantised_gate import Compared, refusals
from training.splits import Part, part_of

CLASSES = ("NORMAL", "PNEUMONIA")
SIDE = 48


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw 150 films of noise; half of them have a bright disc."""
    folder = tmp_path_factory.mktemp("films")
    random = np.random.default_rng(0)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "label", "patient"])
        for index in range(150):
            film = random.normal(90, 15, (SIDE, SIDE))
            if index % 2:
                cv2.circle(film, tuple(random.integers(14, 34, 2).tolist()), 8, 200, -1)
            cv2.imwrite(str(folder / f"{index}.png"), np.clip(film, 0, 255).astype(np.uint8))
            table.writerow([f"{index}.png", CLASSES[index % 2], f"p{index}"])
    return folder


def training(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would."""
    command = [sys.executable, "-m", "training", *words, "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)


@pytest.fixture(scope="module")
def report(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Fit a small network and quantise it; give what the second command printed."""
    out = tmp_path_factory.mktemp("models")
    options = ("--architecture", "baseline_cnn", "--no-imagenet", "--pixels", str(SIDE), "--epochs", "8")
    fitted = training("fit", "--data", str(data), "--out", str(out), *options)
    assert fitted.returncode == 0, fitted.stderr
    package = json.loads(fitted.stdout)["package"]
    named = ("--package", package, "--data", str(data), "--out", str(out))
    done = training("quantise", *named, "--version", "1.0.0-int8", "--films", "64")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found | {"source": package}


def test_the_gate_s_figures_stand_in_report_and_manifest(report: dict[str, object]) -> None:
    """What was compared on test, by whom it was made, on what it was calibrated."""
    package = load_package(Path(str(report["package"])))

    assert report["verdict"] == "accepted"
    assert package.manifest.precision == "int8"
    assert package.manifest.described["precision"]["gate"] == report["compared_on_test"]
    assert "In int8" in package.read("MODEL_CARD.md").decode()


def test_both_cpu_engines_serve_it_within_the_bound_of_int8(report: dict[str, object], data: Path) -> None:
    """OpenVINO by itself, ONNX Runtime by setting; it is another graph than the float32 one, and no file names it."""
    source, package = load_package(Path(str(report["source"]))), load_package(Path(str(report["package"])))
    films = [film for film in read_films(data, CLASSES) if part_of(film.patient) is Part.TEST]
    images = [cv2.imread(str(data / film.file), cv2.IMREAD_GRAYSCALE) for film in films]
    batch = np.stack([to_tensor(image, package.manifest.input) for image in images])

    small = [open_engine(package, name).infer(batch).logits for name in (None, "onnxruntime")]
    whole = open_engine(source, "openvino").infer(batch).logits

    np.testing.assert_allclose(small[0], small[1], atol=agreement(whole, "int8"))
    assert 0 < np.abs(small[0] - whole).max() < 10 * agreement(whole, "int8")


def test_torch_does_not_serve_it() -> None:
    """It would run other weights than the threshold was made for."""
    with pytest.raises(SettingInvalid, match="int8"):
        choose("torch", lambda _: True, precision="int8")
    assert choose(None, {"torch", "onnxruntime"}.__contains__, Path("/"), precision="int8") == "onnxruntime"


def test_a_version_that_exists_is_not_overwritten(report: dict[str, object]) -> None:
    """Before anything is computed."""
    source = Path(str(report["source"]))
    order = QuantiseOrder(source, Path("/nowhere"), source.parents[1], "1.0.0-int8", films=64, seed=1)

    with pytest.raises(WrongCall, match="never changes"):
        quantise(order, datetime.now(UTC))


@pytest.mark.parametrize(
    ("after", "changed", "reasons"),
    [(0.9881, 0.01, 0), (0.9879, 0.0, 1), (0.995, 0.0101, 1), (0.5, 0.5, 2)],
)
def test_the_gate_refuses_beyond_its_bounds(after: float, changed: float, reasons: int) -> None:
    """AUC may fall by 0.002, and 1 % of decisions may change, and no more."""
    assert len(refusals(Compared(1000, 0.99, after, changed, 0.1))) == reasons
