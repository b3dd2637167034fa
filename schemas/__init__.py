"""The language of the system: records, topics, identities, errors. Pure: it imports nothing of ours."""
