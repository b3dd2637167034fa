"""The log: the contract of a broker, Apache Kafka behind it, and its twin in memory."""
