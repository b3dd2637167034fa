"""STOW-RS (PS3.18 10.5): the web door, its requests, their parts and their answers."""
