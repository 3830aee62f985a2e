"""What tests share: waiting, a Kafka client, worker processes."""
