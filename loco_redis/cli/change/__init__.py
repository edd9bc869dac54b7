"""Commands that change something for the whole fleet, at once."""
