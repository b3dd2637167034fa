"""Objects by key: S3 behind it, and its twin in memory."""
