"""`python -m consumers inference` begins here: two processes load their libraries side by side."""

from importlib import import_module

from consumers.decoding.nursery import Nursery
from radstream.service import Health, Stop
from radstream.settings import Settings


def serve(settings: Settings, health: Health, stop: Stop) -> None:
    """Run the inference service; raises what ends it.

    1. start what the decoders come from
    2. load everything else meanwhile
    """
    nursery = Nursery()
    import_module("consumers.serve_inference").serve(settings, health, stop, nursery)
