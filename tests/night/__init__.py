"""A night's worth of events through a whole copy, while its processes are killed and frozen."""
