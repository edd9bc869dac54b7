"""`loco-redis bench`: a load generator for a fleet."""
