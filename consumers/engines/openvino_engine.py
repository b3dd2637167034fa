"""OpenVINO on the CPU."""

import numpy as np

from consumers.engines.engine import Batch, Inference, one_by_one
from consumers.imaging.openvino_graph import compiled
from consumers.packages.package import ModelPackage
from schemas.model_package import GRAPH, OUTPUTS


class OpenVinoEngine:
    """Runs model.onnx in float32: by default OpenVINO computes in bfloat16 where the CPU lists it."""

    name = "openvino"
    batch_images = 1

    def __init__(self, package: ModelPackage, threads: int) -> None:
        self._compiled = compiled(package.read(GRAPH), threads)
        self._outputs = [name for name in OUTPUTS if name in {one.any_name for one in self._compiled.outputs}]

    def infer(self, batch: Batch) -> Inference:
        """Run float32 [N, 3, H, W]."""
        return one_by_one(self._run, batch)

    def _run(self, batch: Batch) -> Inference:
        answers = self._compiled.create_infer_request().infer([batch])
        # The arrays are the request's own memory.
        return Inference(*(np.array(answers[name], np.float32) for name in self._outputs))
