"""The HTTP server: errors, tokens, health."""
