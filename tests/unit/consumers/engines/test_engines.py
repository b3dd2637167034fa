"""Every engine gives what torch's eager mode gives, within the stated bound."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from consumers.engines.choice import ENGINES, choose, open_engine
from consumers.engines.engine import AGREEMENT
from consumers.engines.torch_engine import TorchEngine
from consumers.packages.package import ModelPackage, load_package
from schemas.errors import ModelRefused, SettingInvalid
from schemas.model_package import GRAPH, MANIFEST

NOWHERE = Path("/nowhere")


@pytest.fixture(scope="module")
def batch() -> NDArray[np.float32]:
    """Give five normalised images."""
    return np.random.default_rng(2).normal(0, 1, (5, 3, 32, 32)).astype(np.float32)


@pytest.mark.parametrize("name", ENGINES)
def test_each_engine_agrees_with_eager_torch(name: str, package: ModelPackage, batch: NDArray[np.float32]) -> None:
    """Logits and projection, for a batch of several."""
    expected = TorchEngine(package, threads=1).infer(batch)

    answer = open_engine(package, name).infer(batch)

    assert answer.logits.shape == (5, 2)
    assert answer.projection.shape == (5, 16)
    np.testing.assert_allclose(answer.logits, expected.logits, atol=AGREEMENT)
    np.testing.assert_allclose(answer.projection, expected.projection, atol=20 * AGREEMENT)


@pytest.mark.parametrize("name", ENGINES)
def test_a_row_does_not_depend_on_its_neighbours(name: str, package: ModelPackage, batch: NDArray[np.float32]) -> None:
    """Batches form by chance: the same image has the same answer in each."""
    engine = open_engine(package, name)

    together = engine.infer(batch).logits
    alone = np.concatenate([engine.infer(batch[index : index + 1]).logits for index in range(len(batch))])

    np.testing.assert_allclose(together, alone, atol=AGREEMENT)


def test_a_graph_that_answers_wrongly_is_refused(folder: Path, manifest: dict[str, object]) -> None:
    """It loads and its hashes match, but the self-test says other logits."""
    manifest["self_test"] = {"logits": [0.5, -3.0]}
    (folder / MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(ModelRefused, match="self-test"):
        open_engine(load_package(folder), "onnxruntime")


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_bytes_that_are_no_graph_are_refused(name: str, folder: Path, manifest: dict[str, dict[str, str]]) -> None:
    """Whatever the library raises becomes a refusal, so the old model goes on."""
    (folder / GRAPH).write_bytes(b"no graph at all")
    manifest["files"][GRAPH] = sha256(b"no graph at all").hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(ModelRefused, match=name):
        open_engine(load_package(folder), name)


@pytest.mark.parametrize(
    ("there", "cuda", "chosen"),
    [
        ({"onnxruntime", "openvino", "torch"}, False, "onnxruntime"),
        ({"openvino", "torch"}, False, "openvino"),
        ({"torch"}, False, "torch"),
        ({"onnxruntime", "torch"}, True, "torch"),
        ({"onnxruntime"}, True, "onnxruntime"),
    ],
)
def test_the_fastest_engine_there_is_chosen(there: set[str], *, cuda: bool, chosen: str, tmp_path: Path) -> None:
    """On a GPU torch, else the CPU's order."""
    assert choose(None, there.__contains__, tmp_path if cuda else NOWHERE) == chosen


@pytest.mark.parametrize(("wanted", "there"), [("openvino", {"torch"}), ("caffe", {"torch"}), (None, set())])
def test_an_engine_that_is_not_installed_is_one_clear_line(wanted: str | None, there: set[str]) -> None:
    """The setting and what is installed."""
    with pytest.raises(SettingInvalid, match="installed"):
        choose(wanted, there.__contains__, NOWHERE)


@pytest.mark.parametrize(("engine", "other"), [("onnxruntime", "openvino"), ("openvino", "onnxruntime")])
def test_serving_on_a_cpu_needs_no_torch(engine: str, other: str, made: Path) -> None:
    """The process imports the one engine and stays under 200 MB."""
    code = (
        "import sys; from pathlib import Path\n"
        "from consumers.engines.choice import open_engine; from consumers.packages.package import load_package\n"
        f"open_engine(load_package(Path({str(made)!r})), {engine!r})\n"
        f"heavy = {{'torch', {other!r}, 'scipy', 'sklearn', 'cv2', 'pydicom'}} & set(sys.modules)\n"
        "kilobytes = next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmRSS'))\n"
        "assert not heavy, heavy\n"
        "assert kilobytes < 200_000, kilobytes\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
