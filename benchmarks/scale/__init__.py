"""How far does it go? One server to its limit, large states, a cluster, a fleet on paper."""
