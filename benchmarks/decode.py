"""Bytes of a DICOM object to a network's input, and the forward pass: milliseconds and megabytes, one core.

`python benchmarks/decode.py [--rounds N]` writes benchmarks/results/decode.json. The film is synthetic, 2048 x 2500
pixels of 12 bits in 16 (8 bits for JPEG baseline), encoded here; each time is given as the median and the best
of the rounds, and as a ratio to a bare call of the best package for each step (no parsing, no checks), in turn: on a
busy machine the best is nearer to the truth. Memory is the
resident set of a fresh process that has just prepared one film (worker) or run one image (engine).
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pydicom
import simplejpeg  # type: ignore[import-untyped]
from _record import write
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from consumers.engines.choice import ENGINES
from consumers.imaging.decode import decode
from consumers.imaging.inputs import InputSpec, normalise
from consumers.imaging.part10 import read_part10
from consumers.imaging.prepare import prepare
from consumers.packages.package import load_package

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "models" / "chest-pneumonia" / "1.0.0"
BASE = "1.2.840.10008.1.2"
ROWS, COLUMNS = 2500, 2048
Encoder = Callable[[NDArray[np.generic]], bytes | bytearray]
Decoder = Callable[[bytes], NDArray[Any]]

CASES: Mapping[str, tuple[str, int, Encoder | None]] = {
    "explicit little endian": (f"{BASE}.1", 12, None),
    "implicit little endian": (BASE, 12, None),
    "deflated": (f"{BASE}.1.99", 12, None),
    "JPEG baseline": (f"{BASE}.4.50", 8, partial(imagecodecs.jpeg8_encode, level=95)),
    "JPEG extended, 12 bits": (f"{BASE}.4.51", 12, partial(imagecodecs.jpeg8_encode, level=95, bitspersample=12)),
    "JPEG lossless SV1": (
        f"{BASE}.4.70",
        12,
        partial(imagecodecs.jpeg8_encode, lossless=True, predictor=1, bitspersample=12),
    ),
    "JPEG-LS": (f"{BASE}.4.80", 12, imagecodecs.jpegls_encode),
    "JPEG 2000 lossless": (
        f"{BASE}.4.90",
        12,
        partial(imagecodecs.jpeg2k_encode, codecformat="j2k", reversible=True, bitspersample=12),
    ),
    "JPEG 2000 lossy": (
        f"{BASE}.4.91",
        12,
        partial(imagecodecs.jpeg2k_encode, codecformat="j2k", level=60, bitspersample=12),
    ),
    "HTJ2K lossless": (f"{BASE}.4.201", 12, imagecodecs.htj2k_encode),
}


def native(frame: bytes) -> NDArray[np.generic]:
    """See samples that are not compressed; inflating a deflated data set is in our time alone."""
    return np.frombuffer(frame, np.uint16).reshape(ROWS, COLUMNS)


def reduced_j2k(frame: bytes) -> NDArray[np.generic]:
    """Decode an eighth by Pillow."""
    with Image.open(BytesIO(frame)) as image:
        image.reduce = 3  # type: ignore[assignment, method-assign] # of a JPEG 2000 file a number, until it is loaded
        image.load()
        return np.asarray(image) >> 4


#: A window over all 12 bits.
TABLE = np.minimum(np.arange(2**16) >> 4, 255).astype(np.uint8)

WORKER = """
import sys
from consumers.imaging.prepare import prepare
from consumers.packages.package import load_package
from pathlib import Path
prepare(sys.stdin.buffer.read(), load_package(Path(sys.argv[1])).manifest.input)
"""
ENGINE = """
import sys, time, statistics, numpy
from consumers.engines.choice import open_engine
from consumers.packages.package import load_package
from pathlib import Path
engine = open_engine(load_package(Path(sys.argv[1])), sys.argv[2])
batch = numpy.zeros((1, 3, 224, 224), numpy.float32)
times = []
for _ in range(int(sys.argv[3]) * 5):
    start = time.perf_counter()
    engine.infer(batch)
    times.append(time.perf_counter() - start)
print(round(statistics.median(times) * 1000, 2), round(min(times) * 1000, 2))
"""
MEMORY = """
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""


#: The package that was measured fastest (docs: ADR 24 for the small ones), without any check.
BARE: Mapping[str, Decoder] = {
    "JPEG baseline": lambda frame: simplejpeg.decode_jpeg(frame, colorspace="GRAY")[:, :, 0],
    "JPEG extended, 12 bits": imagecodecs.jpeg8_decode,
    "JPEG lossless SV1": imagecodecs.jpeg8_decode,
    "JPEG-LS": imagecodecs.jpegls_decode,
    "JPEG 2000 lossless": reduced_j2k,
    "JPEG 2000 lossy": reduced_j2k,
    "HTJ2K lossless": partial(imagecodecs.htj2k_decode, skipres=3),
}


def film() -> NDArray[np.uint16]:
    """Draw a smooth chest-like field with a detector's noise."""
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS]
    noise = np.random.default_rng(1).normal(0, 8, rows.shape)
    field: NDArray[np.float64] = 2000 + 1700 * np.sin(columns / 310) * np.cos(rows / 430) + noise
    return np.clip(field, 0, 4095).astype(np.uint16)


def part10(pixels: NDArray[np.generic], syntax: str, bits: int, encode: Encoder | None) -> bytes:
    """Wrap the film as a DX object."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1.1", "1.2.3.4"
    ds.Modality, ds.BodyPartExamined, ds.ViewPosition = "DX", "CHEST", "PA"
    ds.Rows, ds.Columns = pixels.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = pixels.dtype.itemsize * 8, bits, bits - 1
    ds.WindowCenter, ds.WindowWidth = 2 ** (bits - 1), 2**bits
    ds.PixelData = encapsulate([bytes(encode(pixels))]) if encode else pixels.tobytes()
    ds["PixelData"].VR = "OW" if encode is None else "OB"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(syntax)
    file = BytesIO()
    pydicom.dcmwrite(file, ds, enforce_file_format=True)
    return file.getvalue()


def bare_tensor(decoder: Decoder, frame: bytes, bits: int, spec: InputSpec) -> object:
    """Make the tensor by the best package for each step, from a frame that is in hand: no checks, no numbers."""
    samples = decoder(frame)
    grey: Any = samples if bits == 8 else cv2.LUT(samples, TABLE).astype(np.uint8, copy=False)
    if grey.shape[0] > 1024:
        grey = cv2.resize(grey, (512, 625), interpolation=cv2.INTER_AREA)
    return normalise(cv2.resize(grey, (spec.width, spec.height), interpolation=cv2.INTER_AREA), spec)


def in_turn(actions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """Time actions one after the other, round by round: what disturbs one disturbs the other."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            times[name].append(1000 * (time.perf_counter() - start))
    return {
        name: {"median": round(statistics.median(found[1:]), 2), "best": round(min(found[1:]), 2)}
        for name, found in times.items()
    }


def milliseconds(action: Callable[[], object], rounds: int) -> dict[str, float]:
    """Return the median and the best time of an action, after one that warms it up."""
    action()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return {"median": round(statistics.median(times) * 1000, 2), "best": round(min(times) * 1000, 2)}


def in_a_process(code: str, *arguments: str, data: bytes = b"") -> list[float]:
    """Run code in a fresh process and return the numbers that it prints."""
    command = [sys.executable, "-c", code + MEMORY, str(MODEL), *arguments]
    done = subprocess.run(command, input=data, capture_output=True, check=True, cwd=ROOT)
    return [float(line) for line in done.stdout.split()]


def measure(rounds: int) -> dict[str, object]:
    """Time every syntax and every engine."""
    cv2.setNumThreads(1)
    spec = load_package(MODEL).manifest.input
    deep = film()
    syntaxes, largest = {}, b""
    for name, (syntax, bits, encode) in CASES.items():
        pixels = (deep >> 4).astype(np.uint8) if bits == 8 else deep
        data = part10(pixels, syntax, bits, encode)
        largest = max(largest, data, key=len)
        parsed = read_part10(data)
        encoded = bytes(encode(pixels)) if encode else pixels.tobytes()
        bare = partial(bare_tensor, BARE.get(name, native), encoded, bits, spec)
        found = in_turn({"prepare": partial(prepare, data, spec), "bare": bare}, rounds)
        syntaxes[name] = {
            "megabytes": round(len(data) / 1e6, 2),
            "decode_ms": milliseconds(partial(decode, parsed), rounds),
            "prepare_ms": found["prepare"],
            "bare_ms": found["bare"],
            "ratio": round(found["prepare"]["best"] / found["bare"]["best"], 2),
        }
        print(f"{name}: {syntaxes[name]}")
    engines = {}
    for name in ENGINES:
        median, best, resident = in_a_process(ENGINE, name, str(rounds))
        engines[name] = {"forward_ms": {"median": median, "best": best}, "resident_mb": resident}
        print(f"{name}: {engines[name]}")
    return {
        "film": {"rows": ROWS, "columns": COLUMNS, "rounds": rounds},
        "syntaxes": syntaxes,
        "worker_resident_mb": in_a_process(WORKER, data=largest)[-1],
        "engines": engines,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    write("decode", measure(parser.parse_args().rounds))
