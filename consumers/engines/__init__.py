"""Engines that run a model package."""
