"""Commands that look at a fleet and change nothing."""
