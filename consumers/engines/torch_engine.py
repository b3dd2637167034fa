"""torch: CUDA where there is a device, else the CPU, where it is the yardstick for the other engines."""

from typing import cast

import torch
from safetensors.torch import load

from consumers.engines.engine import Batch, Inference
from consumers.engines.torch_device import OnDevice
from consumers.imaging.networks import build
from consumers.packages.package import ModelPackage
from schemas.model_package import WEIGHTS

#: A GPU takes as many as there are; the setting of the batch is the limit (count).
GPU_IMAGES = 1024


class TorchEngine:
    """Runs the architecture with the package's weights in float32, channels last."""

    name = "torch"
    half = False

    def __init__(self, package: ModelPackage, threads: int) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_images = 1 if device.type == "cpu" else GPU_IMAGES
        if device.type == "cpu":
            torch.set_num_threads(threads)
        network = build(package.manifest.architecture, len(package.manifest.operating.classes))
        tensors = load(package.read(WEIGHTS))
        network.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in tensors.items()})
        self._network = OnDevice(cast("torch.nn.Module", network), device, half=self.half)

    def infer(self, batch: Batch) -> Inference:
        """Run float32 [N, 3, H, W]."""
        return Inference(*self._network.run(batch))


class HalfTorchEngine(TorchEngine):
    """The same in half precision, for GPUs that have the units for it; its logits differ in the third digit."""

    name = "torch-half"
    half = True
