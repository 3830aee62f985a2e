"""Tests of sql/."""
