"""A film of wavelets is decoded at the size that the network reads, and its answer stays what it was."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import cast

import cv2
import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate

from consumers.engines.choice import open_engine
from consumers.imaging.codestreams import first_frame
from consumers.imaging.decision import decide
from consumers.imaging.decode import DECODERS, decode, decode_all
from consumers.imaging.part10 import read_part10
from consumers.imaging.prepare import Prepared, prepare, prepare_all
from consumers.imaging.preprocess import InputSpec
from consumers.imaging.reduced import HALVED, Halved
from consumers.packages.package import load_package

ROOT = Path(__file__).parents[4]
PACKAGE = ROOT / "models" / "chest-pneumonia" / "1.0.0"
REAL = ROOT.parent / "shared" / "data" / "kermany_fullres"
J2K, HTJ2K = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201"
Build = Callable[..., bytes]
ENCODE: dict[str, Callable[[NDArray[np.uint16]], bytes]] = {
    J2K: partial(imagecodecs.jpeg2k_encode, codecformat="j2k", reversible=True, bitspersample=12),
    HTJ2K: imagecodecs.htj2k_encode,
}
WINDOW = {"bits": 12, "WindowCenter": 2048, "WindowWidth": 4096}
EACH = pytest.mark.parametrize("syntax", ENCODE)


@pytest.fixture(scope="module")
def large() -> NDArray[np.uint16]:
    """Draw a film of 2000 x 1810 pixels: soft fields, thin ribs, sharp black and white corners, a detector's noise."""
    rows, columns = np.mgrid[0:2000, 0:1810]
    field = 2000 + 1300 * np.sin(columns / 310) * np.cos(rows / 430) + 300 * np.sin(rows / 11)
    field[:300, :300], field[-300:, -300:] = 0, 4095
    noise = np.random.default_rng(1).normal(0, 8, rows.shape)
    return np.clip(field + noise * (field > 0), 0, 4095).astype(np.uint16)


def both(large: NDArray[np.uint16], syntax: str, dx: Build, spec: InputSpec) -> tuple[Prepared, Prepared]:
    """Prepare a film from its wavelets, and uncompressed."""
    frame = ENCODE[syntax](large)
    return prepare(dx(large, syntax=syntax, frame=frame, **WINDOW), spec), prepare(dx(large, **WINDOW), spec)


def grey(prepared: Prepared) -> NDArray[np.float32]:
    """Give a tensor in grey levels."""
    return prepared.tensor[0] * 0.502 * 255


@EACH
@pytest.mark.parametrize(
    ("wanted", "shape"),
    [((224, 224), (250, 227)), ((250, 228), (500, 453)), ((320, 320), (500, 453)), ((1500, 1500), (2000, 1810))],
)
def test_no_frame_becomes_smaller_than_is_wanted(
    syntax: str, wanted: tuple[int, int], shape: tuple[int, int], large: NDArray[np.uint16], dx: Build
) -> None:
    """An eighth, a quarter, a half or the whole: the smallest that still has every pixel that is asked for."""
    film = dx(large, syntax=syntax, frame=ENCODE[syntax](large), **WINDOW)

    assert decode(read_part10(film), wanted).samples.shape == shape


@EACH
def test_the_small_picture_is_the_large_one_s_mean(
    syntax: str, large: NDArray[np.uint16], dx: Build, spec: InputSpec
) -> None:
    """Within 5 grey levels in the mean, of thin ribs; black stays black beside white, where a decoder wraps."""
    small, whole = both(large, syntax, dx, spec)

    difference = np.abs(grey(small) - grey(whole))
    assert 0 < difference.mean() < 5
    assert difference.max() < 128
    assert grey(small)[:25, :25].max() - grey(whole)[:25, :25].max() < 8


@EACH
def test_statistics_do_not_jump(syntax: str, large: NDArray[np.uint16], dx: Build, spec: InputSpec) -> None:
    """What drift watches stays within two grey levels (mean, deviation, percentiles) and a hundredth (clipped)."""
    small, whole = both(large, syntax, dx, spec)

    for name, value in whole.statistics.items():
        assert small.statistics[name] == pytest.approx(value, abs=0.01 if name == "clipped_share" else 2), name


@EACH
def test_a_film_without_a_window_is_decoded_whole(
    syntax: str, large: NDArray[np.uint16], dx: Build, spec: InputSpec
) -> None:
    """Its darkest and brightest pixel stretch its greys, and the small picture has other ones."""
    frame = ENCODE[syntax](large)

    small = prepare(dx(large, syntax=syntax, frame=frame, bits=12), spec)

    np.testing.assert_array_equal(small.tensor, prepare(dx(large, bits=12), spec).tensor)


def test_8_bit_htj2k_is_decoded_whole(large: NDArray[np.uint16], dx: Build, spec: InputSpec) -> None:
    """No spare bit would tell what wrapped below black."""
    plain = (large >> 4).astype(np.uint8)

    small = prepare(dx(plain, syntax=HTJ2K, frame=imagecodecs.htj2k_encode(plain)), spec)

    np.testing.assert_array_equal(small.tensor, prepare(dx(plain), spec).tensor)


def test_a_codestream_with_too_few_levels_is_halved_as_often_as_it_has(large: NDArray[np.uint16], dx: Build) -> None:
    """One level of wavelets: a half."""
    frame = imagecodecs.jpeg2k_encode(large, codecformat="j2k", reversible=True, bitspersample=12, resolutions=2)
    film = dx(large, syntax=J2K, frame=frame, **WINDOW)

    assert decode(read_part10(film), (224, 224)).samples.shape == (1000, 905)


@EACH
@pytest.mark.skipif(not REAL.is_dir(), reason="the films of ../shared/data are not on this machine")
def test_the_score_of_a_real_film_stays(syntax: str, dx: Build) -> None:
    """Full-size radiographs in wavelets: no probability moves by more than 0.03, and no finding changes."""
    package = load_package(PACKAGE)
    engine, operating = open_engine(package, "onnxruntime"), package.manifest.operating
    for path in sorted(REAL.glob("*.jpg"))[::5]:
        film = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.uint16) << 4
        answers = [
            decide(engine.infer(one.tensor[None]).logits[0], operating)
            for one in both(film, syntax, dx, package.manifest.input)
        ]
        assert answers[0].probabilities["PNEUMONIA"] == pytest.approx(answers[1].probabilities["PNEUMONIA"], abs=0.03)
        assert answers[0].finding == answers[1].finding


SIDES = (64, 224, 256, 500)
CODED: dict[str, Callable[[NDArray[np.uint16]], bytes] | None] = {
    **ENCODE,
    "1.2.840.10008.1.2.1": None,
    "1.2.840.10008.1.2.4.70": partial(imagecodecs.jpeg8_encode, lossless=True, predictor=1, bitspersample=12),
}


@pytest.mark.parametrize("syntax", CODED)
@pytest.mark.parametrize("tags", [WINDOW, {"bits": 12}], ids=["windowed", "stretched"])
def test_several_networks_get_what_each_would_get_alone(
    large: NDArray[np.uint16], dx: Build, syntax: str, tags: dict[str, int]
) -> None:
    """Bit for bit, in their order, whatever halving each of them reads."""
    encode = CODED[syntax]
    data = dx(large, syntax=syntax, **({"frame": encode(large)} if encode else {}), **tags)
    specs = [InputSpec(side, side, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)) for side in SIDES]

    for spec, one in zip(specs, prepare_all(data, specs), strict=True):
        alone = prepare(data, spec)
        assert one.tensor.tobytes() == alone.tensor.tobytes()
        assert replace(one, tensor=alone.tensor) == replace(alone, tensor=alone.tensor)


def counting(of_this: object, passes: list[int]) -> object:
    """Wrap a decoder of halved frames, or a header's reader and a decoder of whole ones: note each pass."""
    if isinstance(of_this, tuple):
        header, decoder = of_this
        return header, lambda frame: (passes.append(0), decoder(frame))[1]
    halved = cast("Halved", of_this)
    return lambda frame, halvings, stored: (passes.append(halvings), halved(frame, halvings, stored))[1]


@pytest.mark.parametrize(("syntax", "decoded"), [(HTJ2K, [3, 3, 2, 0]), ("1.2.840.10008.1.2.4.70", [0, 0, 0, 0])])
def test_a_film_is_decoded_once_for_all_that_read_one_size(
    large: NDArray[np.uint16], dx: Build, syntax: str, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass of the decoder is what costs: 30 to 900 ms of a whole film."""
    encode = CODED[syntax]
    assert encode is not None
    parsed = read_part10(dx(large, syntax=syntax, frame=encode(large), **WINDOW))
    passes: list[int] = []
    for decoders in (HALVED, DECODERS):
        if syntax in decoders:
            monkeypatch.setitem(cast("dict[str, object]", decoders), syntax, counting(decoders[syntax], passes))

    frames = decode_all(parsed, [(64, 64), (224, 224), (400, 400), (1200, 1200)])

    assert sorted(passes) == sorted(set(decoded))
    assert [frame.samples.shape[0] for frame in frames] == [2000 >> halvings for halvings in decoded]
    for one, other in combinations(range(4), 2):
        assert (frames[one] is frames[other]) == (decoded[one] == decoded[other])


@pytest.mark.parametrize("length", [10_000_000, 4096, 10_001])
def test_a_frame_in_fragments_is_the_same_frame(large: NDArray[np.uint16], length: int) -> None:
    """One fragment is read where it lies, several are joined; zeros may pad them to an even length."""
    frame = ENCODE[HTJ2K](large)
    count = -(-len(frame) // length)

    whole = first_frame(memoryview(encapsulate([frame], fragments_per_frame=count)))

    assert whole.rstrip(b"\0") == frame.rstrip(b"\0")
