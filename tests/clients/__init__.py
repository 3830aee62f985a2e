"""Clients that send events, on a real collector and Kafka."""
