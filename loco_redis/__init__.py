"""Fair, crash-safe scheduling of shared capacity across processes and hosts, through Redis."""
