"""The inference group: a decoded image through the engines, or out of the prediction cache, to its result."""
