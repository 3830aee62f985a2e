"""Puts each role together, a file each."""
