"""The documents tell the truth, and the house rules hold."""
