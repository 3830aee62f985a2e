"""Processes killed under load: afterwards everything equals what Kafka acknowledged."""
