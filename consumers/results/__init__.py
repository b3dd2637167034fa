"""What a result says and what it is worth, heat maps included."""
