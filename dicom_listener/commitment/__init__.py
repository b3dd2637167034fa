"""Storage commitment (PS3.4 annex J): requests, what is certain of an instance, and reports."""
