"""torch: CUDA where there is a device, else the CPU, where it is the yardstick for the other engines."""

import torch
from safetensors.torch import load

from consumers.engines.engine import Batch, Inference
from consumers.imaging.networks import build
from consumers.packages import ModelPackage
from schemas.model_package import WEIGHTS

#: A GPU takes as many as there are; the setting of the batch is the limit (count).
GPU_IMAGES = 1024


class TorchEngine:
    """Runs the architecture with the package's weights, float32, channels last."""

    name = "torch"

    def __init__(self, package: ModelPackage, threads: int) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_images = 1 if self._device.type == "cpu" else GPU_IMAGES
        if self._device.type == "cpu":
            torch.set_num_threads(threads)
        network = build(package.manifest.architecture, len(package.manifest.operating.classes))
        tensors = load(package.read(WEIGHTS))
        network.load_state_dict({n: t.float() if t.is_floating_point() else t for n, t in tensors.items()})
        self._network = network.eval().to(self._device, memory_format=torch.channels_last)

    def infer(self, batch: Batch) -> Inference:
        """Run float32 [N, 3, H, W]."""
        images = torch.from_numpy(batch).to(self._device).contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            logits, projection, evidence = self._network(images)
        return Inference(logits.cpu().numpy(), projection.cpu().numpy(), evidence.cpu().numpy())
