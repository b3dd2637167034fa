"""From a connection to an association and its data path: TLS, who is let in, and how bytes are read."""
