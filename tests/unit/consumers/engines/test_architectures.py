"""Every architecture of the registry trains, exports, serves on every engine, and explains itself."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from consumers.engines.choice import open_engine
from consumers.engines.engine import agreement
from consumers.imaging.architectures.pooled import Pooled
from consumers.imaging.inputs import InputSpec, normalise, self_test_image
from consumers.imaging.networks import ARCHITECTURES, Network, build
from consumers.packages.package import load_package
from schemas.errors import WrongCall
from training.datasets import Examples
from training.fitting import Fit, Fitted
from training.package import Data, Identity, package_of
from training.pretrained import PUBLISHED, load_imagenet, load_torchvision
from training.recipe import Recipe
from training.sources import UNKNOWN
from training.splits import Part
from training.writing import write_package

#: Inception's last map vanishes below 75 pixels; the others are whole at 64.
SIDES = {"inception_v3": 80}
#: They have 25 to 87 million weights: the whole path of each takes 10 to 30 seconds.
HEAVY = {"efficientnet_b4", "inception_v3", "resnet50", "vit_b_16"}
EACH = [pytest.param(name, marks=pytest.mark.crash if name in HEAVY else ()) for name in sorted(ARCHITECTURES)]


@dataclass(frozen=True)
class Made:
    """A network after a fit of two steps, and its package."""

    name: str
    spec: InputSpec
    fitted: Fitted
    folder: Path


def examples(side: int, seed: int) -> Examples:
    """Draw eight films that differ much: large soft spots, brighter in the second class, and the self-test's image."""
    labels = np.arange(8) % 2
    spots = np.random.default_rng(seed).integers(0, 180, (8, 5, 5)).astype(np.float32)
    films = np.stack([cv2.resize(one, (side, side), interpolation=cv2.INTER_LINEAR) for one in spots])
    films = (films + 70 * labels[:, None, None]).astype(np.uint8)
    films[0] = self_test_image(InputSpec(side, side, *ARCHITECTURES["resnet50"].scale))
    return Examples(films, labels, patients=8)


@pytest.fixture(scope="module", params=EACH)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Fit for two steps and write the package: the ways of `python -m training fit`."""
    name, threads = request.param, torch.get_num_threads()
    side = SIDES.get(name, 64)
    torch.manual_seed(3)
    torch.set_num_threads(1)
    spec = InputSpec(side, side, *ARCHITECTURES[name].scale)
    recipe = Recipe(epochs=1, small_epochs=0, batch=4)
    parts = {part: examples(side, seed) for seed, part in enumerate(Part)}
    fitted = Fit(build(name, 2), parts[Part.TRAIN], spec, recipe, lambda: 0.0).run(parts[Part.VALIDATION])
    identity = Identity("tiny", "0.0.1", name, ("NORMAL", "PNEUMONIA"), "run", "never", "random weights")
    folder = tmp_path_factory.mktemp("models") / "tiny" / "0.0.1"
    write_package(package_of(fitted, Data(parts, UNKNOWN, {}), spec, recipe, identity), folder)
    yield Made(name, spec, fitted, folder)
    for file in folder.iterdir():
        file.unlink()
    torch.set_num_threads(threads)
    gc.collect()


def batch_of(made: Made, count: int = 3) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Normalise films that it was not fitted to."""
    return np.stack([normalise(image, made.spec) for image in examples(made.spec.height, 9).images[:count]])


def test_it_trains(made: Made) -> None:
    """Two steps change every weight that a logit depends on, and leave numbers."""
    torch.manual_seed(3)
    before = dict(build(made.name, 2).state_dict())

    after = {name: tensor for name, tensor in made.fitted.network.state_dict().items() if name.endswith("weight")}

    still = [name for name, tensor in after.items() if torch.equal(tensor, before[name].half().float())]
    assert still == []
    assert all(bool(tensor.isfinite().all()) for tensor in after.values())


def test_every_engine_agrees_with_eager_torch(made: Made) -> None:
    """Logits, projection and evidence, within the stated bound; the package verified and self-tested on the way."""
    package, batch = load_package(made.folder), batch_of(made)
    with torch.inference_mode():
        logits, projection, evidence = (part.numpy() for part in made.fitted.network(torch.from_numpy(batch)))

    for engine in ("onnxruntime", "openvino", "torch"):
        answer = open_engine(package, engine).infer(batch)
        assert answer.evidence is not None
        np.testing.assert_allclose(answer.logits, logits, atol=agreement(logits), err_msg=engine)
        np.testing.assert_allclose(answer.projection, projection, atol=20 * agreement(projection), err_msg=engine)
        np.testing.assert_allclose(answer.evidence, evidence, atol=agreement(evidence), err_msg=engine)


def test_it_explains_itself(made: Made) -> None:
    """A convolutional network's evidence is a reference Grad-CAM's sum; a transformer's is its own attention."""
    images = torch.from_numpy(batch_of(made))
    network = made.fitted.network

    with torch.inference_mode():
        found = network(images)[2]

    expected = grad_cam(network, images) if isinstance(network, Pooled) else attention(network, images)
    torch.testing.assert_close(found, expected, atol=2e-5 * float(expected.abs().max()), rtol=1e-4)


def grad_cam(network: Pooled, images: Tensor) -> Tensor:
    """Compute Selvaraju et al. (2017), equations 1 and 2 without the ReLU, by autograd, times the number of places."""
    maps = network.maps(images).detach().requires_grad_()
    logits = network.classifier(maps.mean((2, 3)))
    found = []
    for column in logits.T:
        (slopes,) = torch.autograd.grad(column.sum(), maps, retain_graph=True)
        found.append((slopes.sum((2, 3), keepdim=True) * maps).sum(1))
    return torch.stack(found, 1).detach()


def attention(network: Network, images: Tensor) -> Tensor:
    """Ask torch's own attention for its weights: of the class token, to each patch, mean of the heads."""
    layer = network.get_submodule("trunk.encoder.layers.encoder_layer_11")
    seen: list[Tensor] = []
    hook = layer.get_submodule("ln_1").register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.inference_mode():
        network.features(images)
        hook.remove()
        _, weights = layer.get_submodule("self_attention")(seen[0], seen[0], seen[0], need_weights=True)
    side = images.shape[2] // 16
    return weights[:, 0, 1:].reshape(len(images), 1, side, side)


@pytest.mark.parametrize("name", ["baseline_cnn", "densenet121", "efficientnet_lite0"])
def test_evidence_behind_one_layer_adds_up_to_the_logit(name: str) -> None:
    """The class activation map is exact: its mean and the layer's bias are the logit."""
    network = build(name, 3).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    with torch.inference_mode():
        logits, _, evidence = network(images)

    added = evidence.mean((2, 3)) + network.classifier.get_parameter("bias")
    torch.testing.assert_close(added, logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", [p for p in EACH if p.values[0] in PUBLISHED])
def test_its_trunk_is_torchvisions(name: str) -> None:
    """Published weights find their places, and give the features that torchvision's network gives to its head."""
    options = {"init_weights": False, "transform_input": False} if name == "inception_v3" else {}
    theirs = get_model(name, **options).eval()
    ours = build(name, 2).eval()
    load_torchvision(ours, theirs.state_dict())
    side = 224 if name == "vit_b_16" else SIDES.get(name, 64)
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    top = ("fc", "classifier", "heads")
    for part in top:
        if hasattr(theirs, part):
            setattr(theirs, part, nn.Identity())

    with torch.inference_mode():
        expected, found = theirs(images), ours.features(images)

    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_weights_of_another_network_are_refused() -> None:
    """Nothing is loaded in part."""
    with pytest.raises(WrongCall, match="has no place"):
        load_torchvision(build("mobilenet_v3_large", 2), get_model("densenet121").state_dict())
    with pytest.raises(WrongCall, match="lack"):
        load_torchvision(build("mobilenet_v3_large", 2), {})


def test_weights_that_nobody_published_are_one_clear_line() -> None:
    """The message names the option that does without."""
    with pytest.raises(WrongCall, match="--no-imagenet"):
        load_imagenet(build("baseline_cnn", 2), "baseline_cnn")
