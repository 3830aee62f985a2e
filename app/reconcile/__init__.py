"""Compares the stores, and repairs them from one another."""
