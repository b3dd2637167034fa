"""The accelerators' meters: each device's memory and use; none where there is none."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry

from consumers.meters.device import Device, DeviceMeters, TorchDevices


class Two:
    """One device that says how busy it is, one that doesn't."""

    def seen(self) -> Sequence[Device]:
        return [Device("cuda:0", 3, 8, 0.5), Device("cuda:1", 0, 8, None)]


def test_each_device_is_metered() -> None:
    """Used and total memory in bytes, use as a share where it is known."""
    registry = CollectorRegistry()
    DeviceMeters(Two(), registry)

    def memory(device: str, kind: str) -> float | None:
        return registry.get_sample_value("radstream_device_memory_bytes", {"device": device, "kind": kind})

    assert [memory(f"cuda:{n}", kind) for n in range(2) for kind in ("used", "total")] == [3, 8, 0, 8]
    assert registry.get_sample_value("radstream_device_use_ratio", {"device": "cuda:0"}) == 0.5
    assert registry.get_sample_value("radstream_device_use_ratio", {"device": "cuda:1"}) is None


def test_without_a_device_there_is_nothing_to_meter() -> None:
    """A process without CUDA shows no device, whether torch is loaded or not."""
    registry = CollectorRegistry()
    DeviceMeters(TorchDevices(), registry)

    samples = [sample for family in registry.collect() for sample in family.samples]
    assert samples == []
