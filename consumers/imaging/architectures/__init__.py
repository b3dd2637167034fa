"""The networks, one architecture a file. Each imports torch, so `networks` imports them only when one is built."""
