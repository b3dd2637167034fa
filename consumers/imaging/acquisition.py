"""How a film was taken, in numbers: what acquisition drift watches. Nothing of the patient."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from math import isfinite

from pydicom.dataset import Dataset

#: Name in the result to the keywords that may hold it, best first, and the factor to the result's unit.
SOURCES: Mapping[str, tuple[tuple[str, float], ...]] = {
    "kvp": (("KVP", 1.0),),
    "exposure_mas": (("Exposure", 1.0), ("ExposureInuAs", 0.001)),
    "pixel_spacing_mm": (("ImagerPixelSpacing", 1.0), ("PixelSpacing", 1.0)),
    "rows": (("Rows", 1.0),),
    "columns": (("Columns", 1.0),),
    "bits_stored": (("BitsStored", 1.0),),
}

#: Date and time down to the second (PS3.5 6.2: DT, and DA followed by TM); coarser ones tell no skew.
DATE_TIME = re.compile(r"(?P<seconds>\d{14})(\.\d{1,6})?(?P<zone>[+-]\d{4})?")


def acquisition(dataset: Dataset) -> dict[str, float]:
    """Return kvp (kV), exposure_mas (mAs), pixel_spacing_mm (mm), rows, columns, bits_stored; absent where absent."""
    found: dict[str, float] = {}
    for name, sources in SOURCES.items():
        for keyword, factor in sources:
            number = _first_number(dataset.get, keyword)
            if number is not None:
                found[name] = number * factor
                break
    return found


def acquired_at(dataset: Dataset) -> float | None:
    """Return when the film was taken by the modality's own clock (Unix seconds); None where that can't be told.

    A time without its offset from UTC (0008,0201; or behind Acquisition DateTime, PS3.5 6.2 DT) is some clock's, nobody
    knows which zone's: it tells nothing.
    """
    zone = _text(dataset, "TimezoneOffsetFromUTC")
    for text in (
        _text(dataset, "AcquisitionDateTime"),
        _text(dataset, "AcquisitionDate") + _text(dataset, "AcquisitionTime"),
        _text(dataset, "ContentDate") + _text(dataset, "ContentTime"),
    ):
        found = DATE_TIME.fullmatch(text)
        if found and (offset := found["zone"] or zone):
            try:
                return datetime.strptime(f"{found['seconds']} {offset}", "%Y%m%d%H%M%S %z").timestamp()
            except (ValueError, OverflowError):
                return None
    return None


def _text(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "").strip()


def _first_number(get: Callable[[str], object], keyword: str) -> float | None:
    """Return the first number of an element; None where there is none or it can't be read."""
    value = get(keyword)
    try:
        number = float(value[0] if isinstance(value, (list, tuple)) or hasattr(value, "append") else value)  # type: ignore[arg-type, index]
    except (TypeError, ValueError, IndexError):
        return None
    return number if isfinite(number) else None
