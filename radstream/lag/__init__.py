"""How far groups are behind, and what Burrow would say of it."""
