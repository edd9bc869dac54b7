-- Each in turn: the one whose last turn is the longest ago.
pick = probing[1] or least(rested(), function(backend) return backend.last end)
