"""The one entry: what comes out, that it travels between processes, and that training reads the same pixels."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from consumers.imaging.prepare import prepare
from consumers.imaging.preprocess import InputSpec, normalise, resize, to_tensor
from consumers.imaging.statistics import image_statistics
from schemas.errors import NotEvaluable
from training.datasets import Film, read_examples
from training.fitting import batch_of

Build = Callable[..., bytes]


def test_an_image_becomes_a_tensor_with_its_numbers(film: NDArray[np.uint16], dx: Build, spec: InputSpec) -> None:
    """Shape, type, statistics and acquisition of a plain film."""
    tags = {"KVP": "81.5", "ExposureInuAs": 2500, "ImagerPixelSpacing": [0.143, 0.143]}

    prepared = prepare(dx(film, bits=12, WindowCenter=2048, WindowWidth=4096, **tags), spec)

    assert (prepared.tensor.shape, prepared.tensor.dtype) == ((3, 224, 224), np.float32)
    assert prepared.needs_review is False
    assert dict(prepared.acquisition) == {
        "kvp": 81.5,
        "exposure_mas": 2.5,
        "pixel_spacing_mm": 0.143,
        "rows": 211,
        "columns": 173,
        "bits_stored": 12,
    }
    assert prepared.statistics["mean"] == pytest.approx(film.mean() / 4095 * 255, abs=1)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_give_the_same(
    kind: Callable[[bytes], bytes], film: NDArray[np.uint16], dx: Build, spec: InputSpec
) -> None:
    """The consumer hands over whatever it has without copying."""
    data = dx(film)

    np.testing.assert_array_equal(prepare(kind(data), spec).tensor, prepare(data, spec).tensor)


def test_result_and_refusal_travel_between_processes(film: NDArray[np.uint16], dx: Build, spec: InputSpec) -> None:
    """Both survive pickling whole."""
    prepared = prepare(dx(film), spec)
    with pytest.raises(NotEvaluable) as refused:
        prepare(dx(film, ViewPosition="LL"), spec)

    travelled = [pickle.loads(pickle.dumps(one)) for one in (prepared, refused.value)]  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(travelled[0].tensor, prepared.tensor)
    assert travelled[1].reason is refused.value.reason


@pytest.mark.parametrize("size", [(224, 224), (100, 90), (300, 2000), (1400, 1100), (2500, 2048)])
def test_training_and_serving_read_the_same_tensor(
    size: tuple[int, int], tmp_path: Path, dx: Build, spec: InputSpec
) -> None:
    """Bit for bit: a film as PNG in a training folder, and the same film as DICOM in the service."""
    grey = np.random.default_rng(3).integers(0, 256, size, np.uint8)
    cv2.imwrite(str(tmp_path / "film.png"), grey)

    examples = read_examples(tmp_path, [Film("film.png", "NORMAL", "p")], ["NORMAL", "PNEUMONIA"], spec)
    trained = batch_of(examples.images, spec).numpy()[0]

    assert trained.tobytes() == prepare(dx(grey), spec).tensor.tobytes()


def test_resizing_averages_and_normalising_centres(spec: InputSpec) -> None:
    """A flat image keeps its level through every step."""
    tensor = to_tensor(np.full((999, 777), 127, np.uint8), spec)

    np.testing.assert_allclose(tensor, (127 / 255 - 0.498) / 0.502, atol=1e-6)
    assert normalise(resize(np.zeros((3, 3), np.uint8), spec), spec).flags.c_contiguous


def test_statistics_agree_with_numpy() -> None:
    """From 256 counts as from every pixel."""
    grey = np.random.default_rng(5).integers(0, 256, (64, 64), np.uint8)

    statistics = image_statistics(grey)

    assert statistics["mean"] == pytest.approx(grey.mean())
    assert statistics["standard_deviation"] == pytest.approx(grey.std())
    for name, share in (("p01", 1), ("p25", 25), ("p50", 50), ("p99", 99)):
        assert statistics[name] == np.percentile(grey, share, method="inverted_cdf")
    assert statistics["clipped_share"] == np.isin(grey, (0, 255)).mean()


def test_a_decoder_process_stays_small_and_needs_no_engine() -> None:
    """Importing the entry loads no engine and no training library, and holds well under 200 MB."""
    code = (
        "import sys, consumers.imaging.prepare, consumers.imaging.networks\n"
        "heavy = {'torch', 'onnxruntime', 'openvino', 'scipy', 'sklearn'} & set(sys.modules)\n"
        "kilobytes = next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmRSS'))\n"
        "assert not heavy, heavy\n"
        "assert kilobytes < 150_000, kilobytes\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_no_value_of_a_damaged_tag_is_printed(
    film: NDArray[np.uint16], dx: Build, spec: InputSpec, capfd: pytest.CaptureFixture[str]
) -> None:
    """Parsers quote what they can't read; a patient's name could be in it."""
    data = dx(film, PatientName="DOE^JANE", BodyPartExamined="CHEST").replace(b"CHEST ", b"d0e!^\x01")

    with pytest.raises(NotEvaluable):
        prepare(data, spec)

    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize("size", [(2500, 2048), (1801, 1799), (896, 3002), (898, 1792)])
def test_halving_first_is_as_good_as_averaging_at_once(size: tuple[int, int], spec: InputSpec) -> None:
    """On a film's smooth fields with a detector's noise: half a grey level in the mean, three anywhere."""
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    noise = np.random.default_rng(3).normal(0, 6, size)
    grey = np.clip(128 + 100 * np.sin(columns / 90) * np.cos(rows / 70) + noise, 0, 255).astype(np.uint8)

    difference = resize(grey, spec).astype(int) - cv2.resize(grey, (224, 224), interpolation=cv2.INTER_AREA)

    assert np.abs(difference).max() <= 3
    assert np.abs(difference).mean() < 0.5
