"""The sinks: results out of the log, into PostgreSQL and Redis."""
