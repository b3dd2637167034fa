"""The pretended scanners: what each makes of a chest's attenuation. Their makers and models are invented."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from radstream.phantoms.anatomy import Map

Photometric = Literal["MONOCHROME1", "MONOCHROME2"]

#: Photons a point behind air at gain 1: sets how grainy the image is.
PHOTONS = 24_000
#: Exposure latitude of the detector, in natural logarithms of the photon count from air to bone.
LATITUDE = 4.2
BYTE_BITS = 8


@dataclass(frozen=True, slots=True)
class Scanner:
    """One room with one device."""

    manufacturer: str
    model_name: str
    station: str
    calling_ae: str
    rows: int
    columns: int
    bits: int
    photometric: Photometric
    gain: float  # dose, relative
    window: tuple[float, float]  # centre and width, as shares of full scale
    rescale: tuple[float, float] = (1.0, 0.0)  # slope and intercept of the modality LUT


SCANNERS: tuple[Scanner, ...] = (
    Scanner("Phantom Works", "PW-100", "PW1", "PHANTOM_ER", 1024, 1024, 12, "MONOCHROME2", 1.0, (0.50, 0.95)),
    Scanner("Phantom Works", "PW-200", "PW2", "PHANTOM_ICU", 1280, 1088, 14, "MONOCHROME1", 0.5, (0.48, 0.80)),
    Scanner("Synthetic Imaging", "Beam 3", "SI1", "PHANTOM_WARD", 900, 760, 10, "MONOCHROME2", 0.3, (0.52, 0.85)),
    Scanner("Test Roentgen", "TR-16", "TR1", "PHANTOM_OPD", 1100, 1100, 16, "MONOCHROME2", 1.4, (0.5, 0.9)),
    Scanner("Test Roentgen", "TR-8", "TR2", "PHANTOM_OPD", 720, 640, 8, "MONOCHROME2", 0.7, (0.5, 1.0)),
)


def expose(attenuation: Map, scanner: Scanner, rng: np.random.Generator) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Turn a map of attenuation into the scanner's stored values, in its own matrix, bits and photometry.

    Noise is that of counted photons: dense parts are grainier. Shape [rows, columns], values 0 to 2**bits - 1.
    """
    dense = _enlarge(attenuation, scanner.rows, scanner.columns)
    dose = PHOTONS * scanner.gain
    photons = dose * np.exp(-LATITUDE * dense)
    counted = photons + np.sqrt(photons) * rng.standard_normal(dense.shape, dtype=np.float32)
    measured = -np.log(np.maximum(counted, 1) / dose) / LATITUDE
    share = np.clip(measured / 1.1, 0, 1)
    if scanner.photometric == "MONOCHROME1":
        share = 1 - share
    stored: NDArray[np.floating[Any]] = np.round(share * (2**scanner.bits - 1))
    return stored.astype(np.uint8) if scanner.bits <= BYTE_BITS else stored.astype(np.uint16)


def _enlarge(image: Map, rows: int, columns: int) -> Map:
    """Interpolate linearly: two thin matrix products."""
    return _weights(rows, image.shape[0]) @ image @ _weights(columns, image.shape[1]).T


def _weights(wanted: int, given: int) -> Map:
    place = np.linspace(0, given - 1, wanted)
    below = np.minimum(place.astype(int), given - 2)
    share = (place - below).astype(np.float32)
    matrix = np.zeros((wanted, given), np.float32)
    matrix[np.arange(wanted), below] = 1 - share
    matrix[np.arange(wanted), below + 1] = share
    return matrix
