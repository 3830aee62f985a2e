"""What the health panel, /metrics and status show."""
