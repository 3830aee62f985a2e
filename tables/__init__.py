"""Faust tables, and what they count."""
