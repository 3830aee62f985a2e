"""The pages: dashboard and generator, what they are made of, and what they are fed with."""
