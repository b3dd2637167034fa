"""A network's two files: weights.safetensors in float16, and model.onnx in float32 from those same rounded weights."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped] # ships no types
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import nn

from consumers.imaging.inputs import InputSpec
from consumers.imaging.networks import Network
from schemas.model_package import OUTPUTS

OPSET = 17
INPUT = "images"


def round_weights(network: Network) -> None:
    """Round every float tensor to float16 and back, so that what is measured is what is shipped."""
    tensors = network.state_dict()
    network.load_state_dict({name: t.half().float() if t.is_floating_point() else t for name, t in tensors.items()})


def weights_of(network: Network) -> bytes:
    """Return the network's tensors as safetensors, floats in float16."""
    tensors = network.state_dict()
    return save({n: (t.half() if t.is_floating_point() else t).contiguous().clone() for n, t in tensors.items()})


def graph_of(network: Network, spec: InputSpec) -> bytes:
    """Return the network as ONNX: images [N, 3, H, W] to logits, projection and evidence, N free."""
    if not isinstance(network, nn.Module):
        raise TypeError("only a torch module can be exported")
    network.eval()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The TorchScript exporter announces its successor, which would need another package for the same graph.
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            network.to(memory_format=torch.contiguous_format),
            (torch.zeros(1, 3, spec.height, spec.width),),
            path,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "n"} for name in (INPUT, *OUTPUTS)},
            opset_version=OPSET,
            dynamo=False,
        )
        return path.read_bytes()


def run_graph(graph: bytes, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the logits that ONNX Runtime computes, to compare with the network's."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(list(OUTPUTS[:1]), {INPUT: batch})[0], np.float32)
