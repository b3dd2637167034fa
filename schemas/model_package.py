"""The files of a model package (a folder NAME/VERSION), for all who write or read one."""

MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
GRAPH = "model.onnx"
CARD = "MODEL_CARD.md"
REFERENCE = "reference.json"
#: The graph's outputs, in order; the last may be absent (no heat maps then).
OUTPUTS = ("logits", "projection", "evidence")
#: Every file that a package has besides its manifest, no more and no less.
FILES = frozenset({WEIGHTS, GRAPH, CARD, REFERENCE})
