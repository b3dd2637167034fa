"""Which engine serves: the one that the setting names, else the fastest that is installed."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np

from consumers.engines.engine import Engine, agreement
from consumers.engines.ensemble_engine import EnsembleEngine
from consumers.imaging.inputs import normalise, self_test_image
from consumers.packages.package import ModelPackage
from schemas.errors import ModelRefused, SettingInvalid

#: Where the kernel shows an NVIDIA device: asking torch would cost a second and 900 MB where there is none.
CUDA_DEVICE = Path("/dev/nvidia0")

#: Forward passes of a GPU at one time (count).
GPU_PASSES = 2

#: Engine to the module that must be installed, and to its class.
ENGINES: Mapping[str, tuple[str, str, str]] = {
    "onnxruntime": ("onnxruntime", "consumers.engines.onnxruntime_engine", "OnnxRuntimeEngine"),
    "openvino": ("openvino", "consumers.engines.openvino_engine", "OpenVinoEngine"),
    "torch": ("torch", "consumers.engines.torch_engine", "TorchEngine"),
}
#: What a setting may name beside them, where its price is known to be worth it: half precision on a GPU.
SETTABLE: Mapping[str, tuple[str, str, str]] = {
    **ENGINES,
    "torch-half": ("torch", "consumers.engines.torch_engine", "HalfTorchEngine"),
}
#: How much farther from its self-test an engine may be: half precision has 11 bits of 24.
LOOSER: Mapping[str, float] = {"torch-half": 25.0}
#: Measured on one CPU thread with the shipped model; see benchmarks/decode.py.
CPU_ORDER = ("onnxruntime", "openvino", "torch")
#: What runs int8 graphs: OpenVINO gains by them, ONNX Runtime only runs them (it does not fuse nncf's QDQ pairs), and
#: torch would run the float32 weights, which the package's threshold was not made for.
INT8_ORDER = ("openvino", "onnxruntime")


def open_engine(package: ModelPackage, wanted: str | None, threads: int = 1) -> Engine:
    """Load a package into an engine and test it; raises ModelRefused, or SettingInvalid for an engine that is absent.

    The test runs one image whose logits the manifest gives: a graph that loads and answers wrongly is refused too.
    """
    if package.members:
        return _open_ensemble(package, wanted, threads)
    name = choose(wanted, precision=package.manifest.precision)
    _, module, class_name = SETTABLE[name]
    try:
        engine = cast("Engine", getattr(import_module(module), class_name)(package, threads))
    except ModelRefused:
        raise
    # Each library has its own errors for a graph that it can't load; all mean that this package is not served.
    except Exception as error:
        raise ModelRefused(f"{name} can't load {_title(package)}: {type(error).__name__}: {error}") from error
    check_self_test(engine, package)
    return engine


def _open_ensemble(package: ModelPackage, wanted: str | None, threads: int) -> Engine:
    """Open each member, tested by itself, then test what they say together.

    Their logits may be off by what counts as agreement. log softmax of logits that are off by d is off by 2 d at most,
    a mean of them no more.
    """
    members = [open_engine(one, wanted, threads) for one in package.members]
    temperatures = [one.manifest.operating.temperature for one in package.members]
    ensemble = EnsembleEngine(members, temperatures)
    bounds = [
        2 * _allowed(engine, one) / temperature
        for engine, one, temperature in zip(members, package.members, temperatures, strict=True)
    ]
    check_self_test(ensemble, package, max(bounds))
    return ensemble


def choose(
    wanted: str | None,
    installed: Callable[[str], bool] | None = None,
    cuda: Path = CUDA_DEVICE,
    precision: str = "float32",
) -> str:
    """Name the engine: the wanted one, else torch on a GPU, else the fastest on a CPU; raises SettingInvalid.

    An int8 graph runs on CPU engines alone.

    >>> choose(None, installed=lambda module: module == "openvino", cuda=Path("/nowhere"))
    'openvino'
    """
    is_installed = installed or _is_installed
    if wanted is not None:
        if wanted not in SETTABLE or not is_installed(SETTABLE[wanted][0]):
            there = ", ".join(_present(is_installed)) or "none"
            raise SettingInvalid(f"RADSTREAM_ENGINE={wanted} is not installed here; installed: {there}")
        if precision != "float32" and wanted not in INT8_ORDER:
            raise SettingInvalid(f"RADSTREAM_ENGINE={wanted} runs no {precision} package; use one of {INT8_ORDER}")
        return wanted
    order: Sequence[str] = ("torch", *CPU_ORDER) if cuda.exists() else CPU_ORDER
    if precision != "float32":
        order = INT8_ORDER
    for name in order:
        if is_installed(ENGINES[name][0]):
            return name
    raise SettingInvalid("no engine is installed; install the extra inference-cpu or inference-gpu")


def passes_at_one_time(cuda: Path = CUDA_DEVICE) -> int:
    """Give how many forward passes run side by side: one a core, each of one thread; on a GPU one copies meanwhile."""
    return GPU_PASSES if cuda.exists() else len(os.sched_getaffinity(0))


def check_self_test(engine: Engine, package: ModelPackage, allowed: float | None = None) -> None:
    """Raise ModelRefused when the engine's answer to the test image is not the manifest's.

    `allowed` is the largest difference of a logit, else what counts as agreement.
    """
    spec = package.manifest.input
    answer = engine.infer(normalise(self_test_image(spec), spec)[None])
    expected = np.array([package.manifest.self_test_logits])
    difference = float(np.abs(answer.logits - expected).max()) if answer.logits.shape == expected.shape else np.inf
    if not difference <= (_allowed(engine, package) if allowed is None else allowed):
        raise ModelRefused(f"{engine.name} answers {difference:.3g} beside the self-test of {_title(package)}")


def _allowed(engine: Engine, package: ModelPackage) -> float:
    manifest = package.manifest
    return LOOSER.get(engine.name, 1.0) * agreement(np.array(manifest.self_test_logits), manifest.precision)


def _title(package: ModelPackage) -> str:
    return f"{package.manifest.name} {package.manifest.version}"


def _is_installed(module: str) -> bool:
    return find_spec(module) is not None


def _present(is_installed: Callable[[str], bool]) -> Iterator[str]:
    return (name for name, (module, _, _) in ENGINES.items() if is_installed(module))
