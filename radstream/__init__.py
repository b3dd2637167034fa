"""The ground floor: settings, logs, metrics and the adapters to Kafka, S3, PostgreSQL and Redis."""
