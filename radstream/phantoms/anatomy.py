"""A frontal chest as a map of attenuation: torso, lungs, heart, spine, ribs, clavicles, and opacities if asked for.

Everything is drawn on a square of [-1, 1] x [-1, 1]: x grows to the patient's left, y downwards. Lengths are in
those units. The shapes' sizes and places vary with the seed, their ranges are the constants below.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Side of the map in points; a scanner enlarges it to its own matrix.
GRID = 384

RIBS = 9
OPACITIES = (1, 3)  # how many, from and to (included)

#: A point is air of the lungs above this share.
AIRY = 0.6

Map = NDArray[np.floating[Any]]

_AXIS = np.linspace(-1, 1, GRID, dtype=np.float32)
_X: Map = _AXIS[None, :]
_Y: Map = _AXIS[:, None]


@dataclass(frozen=True, slots=True)
class Habitus:
    """How one phantom differs from the next."""

    width: float  # of the thorax, relative
    tilt: float  # of the whole, lengths across per length down
    lung_top: float
    lung_bottom: float
    heart: float  # its radius
    breath: float  # how dark the lungs are


def habitus(rng: np.random.Generator) -> Habitus:
    """Draw one phantom's build."""
    return Habitus(
        width=rng.uniform(0.9, 1.08),
        tilt=rng.uniform(-0.03, 0.03),
        lung_top=rng.uniform(-0.78, -0.7),
        lung_bottom=rng.uniform(0.42, 0.56),
        heart=rng.uniform(0.27, 0.36),
        breath=rng.uniform(0.44, 0.52),
    )


def chest(rng: np.random.Generator, *, opacities: bool) -> Map:
    """Draw a chest: float32 [GRID, GRID], 0 is air and about 1 is dense bone.

    >>> chest(np.random.default_rng(1), opacities=False).shape
    (384, 384)
    """
    build = habitus(rng)
    x = (_X - build.tilt * _Y) / build.width
    lungs = _lungs(x, build)
    spine = _spine(x)
    heart = _heart(x, build)
    soft = 0.56 * _torso(x) + 0.02 * _cloud(rng, 2.2)
    dense = soft - build.breath * lungs * (1 - 0.55 * heart) * (1 - 0.5 * spine)
    dense += 0.20 * heart + 0.12 * spine + 0.06 * _abdomen(x, build)
    dense += (0.05 + 0.03 * lungs) * _ribs(x) + 0.13 * _clavicles(x) + 0.10 * _shoulders(x)
    air = lungs * (1 - 0.9 * heart)
    dense += air * (0.09 * _vessels(rng, x) + 0.02 * _cloud(rng, 1.6))
    if opacities:
        dense += _opacities(rng, air)
    drawn: Map = np.clip(dense, 0.0, 1.2).astype(np.float32)
    return drawn


def _edge(distance: Map, softness: float) -> Map:
    """Turn a signed distance (negative inside) into 0..1 with a soft border."""
    drawn: Map = (1.0 / (1.0 + np.exp(np.clip(distance / softness, -30, 30)))).astype(np.float32)
    return drawn


def _ellipse(x: Map, centre: tuple[float, float], radii: tuple[float, float], softness: float, power: float = 2) -> Map:
    across = np.abs((x - centre[0]) / radii[0]) ** power
    down = np.abs((_Y - centre[1]) / radii[1]) ** power
    return _edge((across + down) ** (1 / power) - 1, softness)


def _torso(x: Map) -> Map:
    trunk = _ellipse(x, (0, 0.35), (0.93, 1.25), 0.02, 4)
    neck = _ellipse(x, (0, -0.95), (0.27, 0.45), 0.04, 3)
    shoulders = _ellipse(x, (0, -0.25), (1.02, 0.52), 0.03, 3)
    drawn: Map = np.maximum.reduce([trunk, neck, shoulders])
    return drawn


def _lungs(x: Map, build: Habitus) -> Map:
    middle = (build.lung_top + build.lung_bottom) / 2
    half = (build.lung_bottom - build.lung_top) / 2
    both = np.zeros((GRID, GRID), np.float32)
    for side in (-1, 1):
        narrowing = 0.13 * np.clip((middle - _Y) / half, 0, 1.4) ** 2  # the apex is narrow
        centre = side * (0.46 - 0.7 * narrowing)
        across = np.abs((x - centre) / (0.335 - narrowing)) ** 2.6
        dome = build.lung_bottom + (0.05 if side > 0 else -0.03) - 0.16 * np.exp(-(((x - side * 0.42) / 0.26) ** 2))
        down = np.abs((_Y - middle) / (half + 0.12)) ** 2.6
        field = _edge((across + down) ** (1 / 2.6) - 1, 0.025) * _edge(_Y - dome, 0.012)
        both = np.maximum(both, field)
    return both


def _heart(x: Map, build: Habitus) -> Map:
    ventricles = _ellipse(x + 0.25 * (_Y - 0.2), (0.12, 0.2), (build.heart, 0.33), 0.05)
    vessels = _ellipse(x, (0.02, -0.22), (0.15, 0.5), 0.08)
    knob = _ellipse(x, (0.14, -0.3), (0.1, 0.1), 0.12)
    drawn: Map = np.maximum.reduce([ventricles, 0.75 * vessels, 0.6 * knob])
    return drawn


def _spine(x: Map) -> Map:
    column = _edge(np.abs(x) - 0.085, 0.012)
    discs = 0.75 + 0.25 * np.sign(np.sin(_Y * 26)) * np.abs(np.sin(_Y * 26)) ** 0.4
    return (column * discs).astype(np.float32)


def _abdomen(x: Map, build: Habitus) -> Map:
    bubble = _ellipse(x, (0.36, build.lung_bottom + 0.2), (0.14, 0.07), 0.08)
    return _edge(build.lung_bottom - 0.02 - _Y, 0.05) * _torso(x) * (1 - 1.6 * bubble)


def _ribs(x: Map) -> Map:
    """Draw posterior ribs (arching over) and fainter anterior ones (sloping down towards the middle)."""
    away = np.abs(x)
    cage = _edge(away - 0.84, 0.02) * _edge(0.1 - away, 0.02)
    total = np.zeros((GRID, GRID), np.float32)
    for number in range(RIBS):
        top = -0.74 + 0.155 * number
        flank = 0.4 + 0.048 * min(number, 6) + 0.08
        posterior = top + 0.34 * ((away - 0.28) / flank) ** 2 - 0.1
        anterior = top + 0.18 + 0.5 * np.maximum(0.84 - away, 0) ** 1.15
        for centre, weight in ((posterior, 1.0), (anterior, 0.5)):
            band = np.abs(_Y - centre)
            total += weight * (_edge(band - 0.026, 0.006) * 0.7 + np.exp(-(((band - 0.026) / 0.008) ** 2)) * 0.5)
    return (np.minimum(total, 1.6) * cage).astype(np.float32)


def _clavicles(x: Map) -> Map:
    away = np.abs(x)
    centre = -0.64 - 0.14 * (away - 0.1) + 0.03 * np.sin(away * 8)
    return _edge(np.abs(_Y - centre) - 0.028, 0.008) * _edge(away - 0.72, 0.03) * _edge(0.07 - away, 0.02)


def _shoulders(x: Map) -> Map:
    away = np.abs(x)
    blade = _edge(((away - 0.83) / 0.16) ** 2 + ((_Y + 0.3) / 0.42) ** 2 - 1, 0.12)
    head = _edge(((away - 0.93) / 0.13) ** 2 + ((_Y + 0.55) / 0.16) ** 2 - 1, 0.08)
    drawn: Map = np.maximum(0.6 * blade, head)
    return drawn


def _vessels(rng: np.random.Generator, x: Map) -> Map:
    """Draw the hilar branches: bright near the hilum, fading outwards."""
    total = np.zeros((GRID, GRID), np.float32)
    for side in (-1, 1):
        dx, dy = side * x - 0.17, _Y + 0.02
        radius = np.hypot(dx, dy)
        angle = np.arctan2(dy, dx)
        phase = rng.uniform(0, 6.28)
        spokes = np.abs(np.sin(4.5 * angle + phase + 2.2 * np.sin(5 * radius + phase))) ** 10
        fade = np.exp(-radius / 0.2) * np.minimum(radius / 0.1, 1) * (side * x > 0)
        total += (0.9 * np.exp(-((radius / 0.09) ** 2)) + 1.5 * spokes * fade).astype(np.float32)
    return total


def _cloud(rng: np.random.Generator, steepness: float) -> Map:
    """Draw smooth noise of zero mean and unit deviation with a 1/f**steepness amplitude."""
    frequency = np.hypot(np.fft.fftfreq(GRID)[:, None], np.fft.rfftfreq(GRID)[None, :])
    frequency[0, 0] = np.inf
    phases = np.exp(2j * np.pi * rng.random(frequency.shape))
    field = np.fft.irfft2(phases * frequency**-steepness, s=(GRID, GRID))
    drawn: Map = (field / field.std()).astype(np.float32)
    return drawn


def _opacities(rng: np.random.Generator, air: Map) -> Map:
    """Draw patchy, fuzzy consolidations inside the lungs."""
    total = np.zeros((GRID, GRID), np.float32)
    rows, columns = np.nonzero(air > AIRY)
    for _ in range(rng.integers(OPACITIES[0], OPACITIES[1] + 1)):
        here = rng.integers(len(rows))
        radius = rng.uniform(0.1, 0.26)
        distance = np.hypot(_X - _AXIS[columns[here]], (_Y - _AXIS[rows[here]]) / rng.uniform(0.7, 1.3))
        ragged = distance / radius + 0.22 * _cloud(rng, 1.9)
        total += rng.uniform(0.16, 0.3) * _edge(ragged - 0.8, 0.18)
    return np.minimum(total, 0.36) * air
