"""Everything that makes events: HTTP, files, the generator."""
