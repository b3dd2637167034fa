"""A loaded model around any engine, for tests that need no package."""

import numpy as np

from consumers.engines.engine import Batch, Engine, Inference
from consumers.imaging.decision import Operating
from consumers.imaging.inputs import InputSpec
from consumers.models.loaded import LoadedModel
from consumers.packages.manifest import Manifest

OPERATING = Operating(("NORMAL", "PNEUMONIA"), "PNEUMONIA", 1.0, 0.6)
SPEC = InputSpec(2, 2, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


class FirstPixel:
    """Answers with what the tensor holds: its first number is the positive class's logit."""

    name = "test"

    def __init__(self, batch_images: int = 1, evidence: Batch | None = None) -> None:
        self.batch_images = batch_images
        self.evidence = evidence  # [classes, h, w], the same for every image
        self.batches: list[int] = []

    def infer(self, batch: Batch) -> Inference:
        """Look at the first pixel."""
        self.batches.append(len(batch))
        logits = np.stack([np.zeros(len(batch)), batch[:, 0, 0, 0]], axis=1).astype(np.float32)
        evidence = None if self.evidence is None else np.stack([self.evidence] * len(batch))
        return Inference(logits, np.tile(np.arange(20, dtype=np.float32), (len(batch), 1)), evidence)


def loaded(engine: Engine, version: str = "1.0.0", spec: InputSpec = SPEC) -> LoadedModel:
    """Give the model `m` of this version."""
    manifest = Manifest("m", version, "efficientnet_lite0", spec, OPERATING, (0.0, 0.0), {}, {})
    return LoadedModel(manifest=manifest, engine=engine, digest=version)
