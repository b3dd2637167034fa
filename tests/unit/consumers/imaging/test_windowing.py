"""One table gives what pydicom's pixel-by-pixel functions give, at most one grey level off."""

import warnings
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from consumers.imaging.decode import decode
from consumers.imaging.part10 import read_part10
from consumers.imaging.windowing import to_grey

Build = Callable[..., bytes]


def lut(first: int, bits: int, values: NDArray[np.uint16], name: str) -> Dataset:
    """Make an item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    signed = "SS" if first < 0 else "US"
    item.add_new("LUTDescriptor", signed, [len(values) % 65536, first, bits])
    item.add_new("LUTData", "US", values.tolist())
    if name == "ModalityLUTSequence":
        item.ModalityLUTType = "OD"
    return item


CURVE = (np.linspace(0, 1, 4096) ** 2 * 4095).astype(np.uint16)
TAGS = {
    "linear": {"WindowCenter": 2000, "WindowWidth": 1500},
    "linear, named": {"WindowCenter": 2000, "WindowWidth": 1500, "VOILUTFunction": "LINEAR"},
    "linear, width 1": {"WindowCenter": 2000, "WindowWidth": 1},
    "exact": {"WindowCenter": 2000, "WindowWidth": 1500, "VOILUTFunction": "LINEAR_EXACT"},
    "sigmoid": {"WindowCenter": 2000, "WindowWidth": 800, "VOILUTFunction": "SIGMOID"},
    "several windows": {"WindowCenter": [1500, 3000], "WindowWidth": [900, 100]},
    "rescaled": {"RescaleSlope": 0.5, "RescaleIntercept": -300, "WindowCenter": 700, "WindowWidth": 800},
    "VOI LUT": {"VOILUTSequence": [lut(0, 12, CURVE, "VOILUTSequence")]},
    "short VOI LUT": {"VOILUTSequence": [lut(1000, 10, np.arange(1024).astype(np.uint16), "VOILUTSequence")]},
    "VOI LUT before window": {
        "VOILUTSequence": [lut(0, 12, CURVE, "VOILUTSequence")],
        "WindowCenter": 5,
        "WindowWidth": 2,
    },
    "modality LUT": {
        "ModalityLUTSequence": [lut(0, 16, CURVE[::-1] * np.uint16(16), "ModalityLUTSequence")],
        "WindowCenter": 30000,
        "WindowWidth": 50000,
    },
}


def theirs(data: bytes) -> NDArray[np.float64]:
    """Run pydicom's functions and bring their output range to 0 to 255."""
    ds = pydicom.dcmread(BytesIO(data))
    values = apply_modality_lut(ds.pixel_array, ds)
    shown = apply_voi_lut(values, ds).astype(np.float64)
    if "VOILUTSequence" in ds:
        low, high = 0.0, 2.0 ** ds.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif "ModalityLUTSequence" in ds:
        low, high = 0.0, 2.0**16 - 1
    else:
        lowest = -(2 ** (ds.BitsStored - 1)) if ds.PixelRepresentation else 0
        edges = np.array([lowest, lowest + 2**ds.BitsStored - 1])
        low, high = apply_modality_lut(edges, ds) if "RescaleSlope" in ds else edges
    return (shown - low) / (high - low) * 255


@pytest.mark.parametrize("tags", TAGS.values(), ids=TAGS.keys())
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_table_agrees_with_pydicom(
    tags: dict[str, object], photometric: str, film: NDArray[np.uint16], dx: Build
) -> None:
    """Rescale, modality LUT, VOI LUT and each window function, plain and inverted."""
    data = dx(film, bits=12, PhotometricInterpretation=photometric, **tags)
    parsed = read_part10(data)

    grey = to_grey(decode(parsed), parsed.dataset).astype(float)

    expected = theirs(data)
    expected = 255 - expected if photometric == "MONOCHROME1" else expected
    assert np.abs(grey - expected).max() <= 1


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_every_depth_and_sign_agrees_with_pydicom(
    bits: int, *, signed: bool, film: NDArray[np.uint16], dx: Build
) -> None:
    """8 to 16 bits, unsigned and two's complement."""
    values = film.astype(float) / 4095 * (2**bits - 1) - (2 ** (bits - 1) if signed else 0)
    kinds = {(8, False): np.uint8, (8, True): np.int8}
    pixels = values.astype(kinds.get((bits, signed), np.int16 if signed else np.uint16))
    centre = 0 if signed else 2 ** (bits - 1)
    data = dx(pixels, bits=bits, WindowCenter=centre, WindowWidth=2 ** (bits - 1))
    parsed = read_part10(data)

    grey = to_grey(decode(parsed), parsed.dataset)

    assert np.abs(grey - theirs(data)).max() <= 1


def test_overlay_bits_above_the_value_are_not_seen(film: NDArray[np.uint16], dx: Build) -> None:
    """Old objects keep overlays in the high bits of the cell (PS3.5 8.1.1)."""
    with_overlay = film | np.uint16(0xF000)
    plain, marked = (read_part10(dx(pixels, bits=12)) for pixels in (film, with_overlay))

    np.testing.assert_array_equal(to_grey(decode(plain), plain.dataset), to_grey(decode(marked), marked.dataset))


def test_values_in_the_upper_bits_of_the_cell_are_shifted_down(film: NDArray[np.uint16], dx: Build) -> None:
    """HighBit 15 with 12 bits stored: the value starts at bit 4."""
    low, high = (read_part10(dx(film << shift, bits=12, HighBit=11 + shift)) for shift in (0, 4))

    np.testing.assert_array_equal(to_grey(decode(low), low.dataset), to_grey(decode(high), high.dataset))


def test_plain_eight_bits_without_a_window_stay_as_they_are(film: NDArray[np.uint16], dx: Build) -> None:
    """What was made to be shown is not stretched."""
    pixels = (film >> 5).astype(np.uint8)
    parsed = read_part10(dx(pixels))

    np.testing.assert_array_equal(to_grey(decode(parsed), parsed.dataset), pixels)


def test_deep_images_without_a_window_are_stretched_without_their_padding(dx: Build) -> None:
    """From the darkest to the brightest value; padding is no value."""
    pixels = np.array([[0, 0, 1000], [1500, 2000, 2000]], np.uint16)
    parsed = read_part10(dx(pixels, bits=12, PixelPaddingValue=0))

    assert to_grey(decode(parsed), parsed.dataset).tolist() == [[0, 0, 0], [128, 255, 255]]


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": 2000, "WindowWidth": 0},
        {"WindowCenter": 2000},
        {"WindowWidth": 100},
        {"WindowCenter": 2000, "WindowWidth": -5},
        {"RescaleSlope": 0, "RescaleIntercept": 0},
    ],
)
def test_a_window_that_makes_no_sense_is_passed_over(
    tags: dict[str, object], film: NDArray[np.uint16], dx: Build
) -> None:
    """The image is then stretched like one without a window."""
    plain, odd = read_part10(dx(film, bits=12)), read_part10(dx(film, bits=12, **tags))

    np.testing.assert_array_equal(to_grey(decode(plain), plain.dataset), to_grey(decode(odd), odd.dataset))


def test_one_grey_everywhere_is_no_division_by_zero(dx: Build) -> None:
    """A blank plate has no range to stretch."""
    parsed = read_part10(dx(np.full((8, 8), 77, np.uint16), bits=12))
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        assert np.unique(to_grey(decode(parsed), parsed.dataset)).tolist() == [0]
