"""Hypothesis without its clock: the tests share a machine with servers, and how long one takes is no property."""

from hypothesis import settings

settings.register_profile("streams", deadline=None, max_examples=60)
settings.load_profile("streams")
