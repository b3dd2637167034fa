"""Memory and use of the accelerators that this process sees, for Prometheus: asked for when somebody looks."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Device:
    """One accelerator at one moment."""

    name: str
    used_bytes: int
    total_bytes: int
    use: float | None  # share of the last while in which it computed, 0 to 1; None where nobody can tell


class Devices(Protocol):
    """Who knows the accelerators."""

    def seen(self) -> Sequence[Device]:
        """Look at each of them; none where there is none."""


class TorchDevices:
    """CUDA's devices, as torch sees them; nothing is loaded for it: without torch in this process there are none."""

    def seen(self) -> Sequence[Device]:
        """Look at each of them."""
        if "torch" not in sys.modules:
            return ()
        cuda = importlib.import_module("torch").cuda
        return [self._one(cuda, number) for number in range(cuda.device_count() if cuda.is_initialized() else 0)]

    @staticmethod
    def _one(cuda: Any, number: int) -> Device:
        free, total = cuda.mem_get_info(number)
        use: float | None = None
        with suppress(ModuleNotFoundError, RuntimeError):  # NVIDIA's management library is another package
            use = cuda.utilization(number) / 100
        return Device(f"cuda:{number}", total - free, total, use)


class DeviceMeters(Collector):
    """The meters of the accelerators."""

    def __init__(self, devices: Devices, registry: CollectorRegistry = REGISTRY) -> None:
        self._devices = devices
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the meters."""
        memory = GaugeMetricFamily(
            "radstream_device_memory_bytes", "Memory of an accelerator, by whomever it is used (bytes)",
            labels=["device", "kind"],
        )  # fmt: skip
        use = GaugeMetricFamily(
            "radstream_device_use_ratio", "Share of the last while in which it computed (0 to 1)", labels=["device"]
        )
        for one in self._devices.seen():
            memory.add_metric([one.name, "used"], one.used_bytes)
            memory.add_metric([one.name, "total"], one.total_bytes)
            if one.use is not None:
                use.add_metric([one.name], one.use)
        yield from (memory, use)
