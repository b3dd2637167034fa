"""Which version of a model answers: the log of deployments, and what replays and recalls make of it."""
