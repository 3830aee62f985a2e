"""Tests of the local stack and of what supervises it."""
