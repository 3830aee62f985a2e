"""Postgres and Redis."""
