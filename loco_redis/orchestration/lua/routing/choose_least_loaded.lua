-- The one with the smallest share of its capacity in flight or waited for.
pick = probing[1] or least(rested(), function(backend) return backend.share end)
