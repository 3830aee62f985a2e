"""The local stack: Kafka, Postgres and Redis as child processes, and what supervises them."""
