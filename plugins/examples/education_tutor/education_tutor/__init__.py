"""Learning analytics on school data, adaptive practice, a course and consulting hours."""
