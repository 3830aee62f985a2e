"""Clients of Kafka beside Faust, and the topics."""
