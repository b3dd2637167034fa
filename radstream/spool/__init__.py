"""Images on the listener's own disk: segments, records, entries, and what a power cut leaves of them."""
