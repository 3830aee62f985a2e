"""The Faust agents, one a file; the file is named as its agent."""
