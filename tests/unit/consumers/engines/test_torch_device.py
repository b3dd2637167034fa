"""The device's code path, on CPU tensors; nobody has run it on a GPU yet (docs/figures.md)."""

import threading

import numpy as np
import pytest
import torch

from consumers.engines.choice import open_engine
from consumers.engines.torch_device import OnDevice
from consumers.imaging.networks import build
from consumers.packages.package import ModelPackage

CPU = torch.device("cpu")
#: Half precision has 11 bits; over the network's depth logits of a few units move by less (logits).
HALF_AGREEMENT = 0.05


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """Give an untrained network, always the same."""
    torch.manual_seed(3)
    made: torch.nn.Module = build("efficientnet_lite0", 2)
    return made


def batch(count: int) -> np.ndarray:  # type: ignore[type-arg] # float32 [N, 3, 32, 32]
    """Give noise."""
    return np.random.default_rng(1).normal(size=(count, 3, 32, 32)).astype(np.float32)


def test_it_gives_what_the_network_gives(network: torch.nn.Module) -> None:
    """Channels last is the same numbers in another order."""
    images = batch(3)
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(images))

    found = OnDevice(network, CPU).run(images)

    for here, there in zip(found, expected, strict=True):
        assert here.dtype == np.float32
        np.testing.assert_allclose(here, there.numpy(), atol=1e-4)


def test_two_threads_at_one_time_get_their_own_answers(network: torch.nn.Module) -> None:
    """Each has its stream and its buffer; none sees the other's images."""
    device, images = OnDevice(network, CPU), batch(8)
    expected = [device.run(images[index : index + 1])[0] for index in range(8)]
    found: dict[int, np.ndarray] = {}  # type: ignore[type-arg]

    def run(first: int) -> None:
        for index in range(first, 8, 2):
            found[index] = device.run(images[index : index + 1])[0]

    threads = [threading.Thread(target=run, args=(first,)) for first in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    for index in range(8):
        np.testing.assert_allclose(found[index], expected[index], atol=1e-5)


def test_half_precision_moves_logits_little() -> None:
    """By setting only: the default is float32."""
    torch.manual_seed(3)
    whole = OnDevice(build("efficientnet_lite0", 2), CPU).run(batch(2))[0]
    torch.manual_seed(3)

    half = OnDevice(build("efficientnet_lite0", 2), CPU, half=True).run(batch(2))[0]

    assert 0 < np.abs(half - whole).max() < HALF_AGREEMENT


def test_a_setting_names_half_precision(package: ModelPackage) -> None:
    """It passes the package's self-test, within what 11 bits allow."""
    engine = open_engine(package, "torch-half")

    assert (engine.name, engine.infer(batch(1)).logits.dtype) == ("torch-half", np.float32)
