"""Passes queries to the worker that owns the key."""
