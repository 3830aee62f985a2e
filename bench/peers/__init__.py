"""What is measured beside the product; each is a process of its own that prints JSON lines."""
