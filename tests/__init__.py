"""Tests: the same tree as the code, real components, nothing that sleeps."""
