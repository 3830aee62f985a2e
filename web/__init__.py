"""The HTTP views: thin, one subject a file."""
