"""Fleets of worker processes on one machine: the demo, and the replay of a recorded trace."""
