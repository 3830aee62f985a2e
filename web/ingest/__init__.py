"""The calls that take events."""
