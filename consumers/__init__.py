"""Stage 2: the consumer runtime, the inference groups and the sinks."""
