"""Stage 1: C-STORE to object store and topic."""
