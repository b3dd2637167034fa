"""The consumer loop, and what happens to a message from its poll to its commit."""
