"""Parquet files and DuckDB."""
