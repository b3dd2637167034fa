"""The journal of the listener in PostgreSQL, and the vault of identifiers."""
