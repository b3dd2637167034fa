"""The `radstream` command: what a person types."""
