"""What the benchmarks share: the stack, backlogs, a light load client, results."""
