"""How fast the scheduler is: one question per file, each answered with a ratio (README.md)."""
