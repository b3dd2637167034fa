"""Stored samples to 8-bit grey: modality LUT, VOI LUT and photometric interpretation in one table (PS3.4 N.2).

The whole grey pipeline is a function of one stored sample, so it is computed once for each possible bit pattern and
then looked up: 20 to 30 times as fast as computing each pixel, at most one grey level off.
"""

from collections.abc import Callable, Mapping
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from consumers.imaging.codestreams import undecodable
from consumers.imaging.decode import CELL_BYTE, Cell, Frame, Samples

Values = NDArray[np.float64]
#: A window function: values, centre, width to shares of full scale, 0 to 1.
Window = Callable[[Values, float, float], Values]


def linear(values: Values, centre: float, width: float) -> Values:
    """PS3.3 C.11.2.1.2.1.

    >>> linear(np.array([0.0, 2048.0, 4095.0]), 2048, 4096).round(3).tolist()
    [0.0, 0.5, 1.0]
    """
    if width <= 1:
        return (values > centre - 0.5).astype(np.float64)
    return _bounded((values - (centre - 0.5)) / (width - 1) + 0.5)


def linear_exact(values: Values, centre: float, width: float) -> Values:
    """PS3.3 C.11.2.1.3.2."""
    return _bounded((values - centre) / width + 0.5)


def sigmoid(values: Values, centre: float, width: float) -> Values:
    """PS3.3 C.11.2.1.3.1; the exponent is bounded where the result no longer changes."""
    return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))


WINDOWS: Mapping[str, Window] = {"LINEAR": linear, "LINEAR_EXACT": linear_exact, "SIGMOID": sigmoid}


def values_of(cell: Cell, patterns: int) -> Values:
    """Return the stored value of each of the first bit patterns of a sample.

    >>> values_of(Cell(allocated=8, stored=4, high_bit=3, signed=True), 256)[[0, 7, 8, 15, 16]].tolist()
    [0.0, 7.0, -8.0, -1.0, 0.0]
    """
    values = (np.arange(patterns) >> (cell.high_bit + 1 - cell.stored)) & (2**cell.stored - 1)
    if cell.signed:
        values = np.where(values >= 2 ** (cell.stored - 1), values - 2**cell.stored, values)
    return np.asarray(values, np.float64)


def modality(values: Values, dataset: Dataset) -> Values:
    """Apply the Modality LUT Sequence or the rescale (PS3.3 C.11.1)."""
    tables = dataset.get("ModalityLUTSequence")
    if tables:
        return _looked_up(values, tables[0], values.min() < 0)[0]
    slope, intercept = _float(dataset, "RescaleSlope"), _float(dataset, "RescaleIntercept")
    return values * (slope or 1.0) + (intercept or 0.0)


def voi(values: Values, dataset: Dataset, present: Callable[[], Values]) -> Values:
    """Apply the VOI LUT Sequence, else the first window, else stretch; returns shares of full scale, 0 to 1.

    `present` tells the values that the image has, which takes time and is seldom asked: without a window an 8-bit image
    is shown as it is, and a deeper one is stretched from its darkest to its brightest value.
    """
    tables = dataset.get("VOILUTSequence")
    if tables:
        shown, bits = _looked_up(values, tables[0], values.min() < 0)
        return _bounded(shown / (2**bits - 1))
    centre, width = _float(dataset, "WindowCenter"), _float(dataset, "WindowWidth")
    if centre is not None and width is not None and width > 0:
        return WINDOWS.get(str(dataset.get("VOILUTFunction") or "LINEAR"), linear)(values, centre, width)
    if len(values) == 256 and values.min() == 0 and values.max() == 255:  # noqa: PLR2004 - plain 8-bit grey
        return values / 255
    found = present()
    low, high = float(found.min()), float(found.max())
    return _bounded((values - low) / ((high - low) or 1.0))


def follows_from_tags(cell: Cell, dataset: Dataset) -> bool:
    """Say whether a film's greys follow from its tags: without a window its darkest and brightest pixel decide them."""
    asked: list[bool] = []
    some = np.arange(256.0 if cell.allocated == 8 else 2.0)  # noqa: PLR2004 - plain 8-bit grey has all its levels

    def present() -> Values:
        asked.append(True)
        return some

    voi(modality(some, dataset), dataset, present)
    return not asked


def grey_table(cell: Cell, dataset: Dataset, samples: Samples) -> NDArray[np.uint8]:
    """Return the 8-bit grey of each bit pattern: 256 or 65536 entries."""
    patterns = 2**cell.allocated
    # What lies above the highest bit says nothing, so patterns repeat; plain 8 bits in a 16-bit cell are not shown as
    # they are (`voi` tells by their number).
    period = patterns if cell.high_bit < CELL_BYTE else 2 ** (cell.high_bit + 1)
    repeated = partial(np.tile, reps=patterns // period)
    values = modality(values_of(cell, period), dataset)
    shares = voi(values, dataset, lambda: _present(repeated(values), dataset, samples))
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        shares = 1 - shares
    return repeated(np.rint(shares * 255).astype(np.uint8))


def to_grey(frame: Frame, dataset: Dataset) -> NDArray[np.uint8]:
    """Turn stored samples into uint8 [rows, columns] where 255 is bright, as a person would be shown."""
    cell = frame.cell
    if frame.samples.dtype == np.uint8 and cell.allocated != 8:  # noqa: PLR2004 - an 8-bit codestream in a 16-bit cell
        cell = Cell(8, cell.stored, cell.high_bit, cell.signed)
    if frame.samples.dtype == np.uint16 and cell.allocated != 16:  # noqa: PLR2004 - as above, the other way round
        raise undecodable("samples are wider than the data set says")
    table = grey_table(cell, dataset, frame.samples)
    return cv2.LUT(frame.samples, table).astype(np.uint8, copy=False)


def _bounded(shares: Values) -> Values:
    """Clip to full scale."""
    return np.minimum(np.maximum(shares, 0.0), 1.0)


def _present(values: Values, dataset: Dataset, samples: Samples) -> Values:
    """Return the values that occur, without the padding that fills what was not exposed (PS3.3 C.7.5.1.1.2)."""
    counts = np.bincount(samples.ravel(), minlength=len(values))[: len(values)]
    padding = dataset.get("PixelPaddingValue")
    if isinstance(padding, int) and (counts > 0).sum() > 1:
        counts[padding % len(values)] = 0
    return values[counts > 0] if counts.any() else values


def _looked_up(values: Values, item: Dataset, signed: bool) -> tuple[Values, int]:  # noqa: FBT001 - a flag of the data
    """Return a LUT's output for each value, and its depth in bits; values outside take the nearest end."""
    try:
        entries, first, bits = (int(number) for number in item["LUTDescriptor"].value)
        entries = entries or 2**16
        if not signed:
            first %= 2**16
        data = item["LUTData"].value
        table = (
            np.frombuffer(data, "<u2" if item["LUTData"].VR != "OB" else np.uint8)
            if isinstance(data, bytes)
            else np.asarray(data)
        )
        table = table[:entries].astype(np.float64)
        indices = np.clip(values - first, 0, len(table) - 1).astype(np.intp)
        return table[indices], min(max(bits, 8), 16)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise undecodable("a LUT of the data set can't be read") from error


def _float(dataset: Dataset, keyword: str) -> float | None:
    """Return the first finite number of an element; None where there is none."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return None
    try:
        number = float(value[0] if not isinstance(value, (str, int, float)) else value)
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None
