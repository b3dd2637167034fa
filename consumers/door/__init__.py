"""The HTTP door: a prediction for an image that is sent here, and nothing kept of it."""
