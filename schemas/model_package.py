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
#: Of an ensemble, whose networks are other packages.
ENSEMBLE_FILES = frozenset({CARD, REFERENCE})


def package_key(model: str, version: str, file: str) -> str:
    """Name a package's file in the object store.

    >>> package_key("chest-pneumonia", "1.0.0", MANIFEST)
    'models/chest-pneumonia/1.0.0/manifest.json'
    """
    return f"models/{model}/{version}/{file}"
