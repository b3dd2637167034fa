"""Engines that run a model package, and what is decided from their logits."""
