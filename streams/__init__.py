"""Stage 3: the Faust app and its pure statistical core."""
