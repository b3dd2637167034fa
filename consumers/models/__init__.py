"""Which model version answers an image, and the versions that are loaded."""
