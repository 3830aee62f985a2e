"""The questions that are answered, a file each."""
