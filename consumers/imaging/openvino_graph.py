"""A graph in OpenVINO, with the options of serving: the service runs it so, and `training quantise` judges it so."""

import openvino  # type: ignore[import-untyped] # ships no types


def compiled(graph: bytes, threads: int) -> openvino.CompiledModel:
    """Compile a graph for this CPU, in float32 wherever it isn't int8 already, for one image at a time."""
    core = openvino.Core()
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": str(threads),
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
    }
    return core.compile_model(core.read_model(graph, b""), "CPU", options)
