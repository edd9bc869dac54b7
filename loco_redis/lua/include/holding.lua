-- Leases by agent, counted from the holders: only rare verbs and readers need it.
--@include request_row

local function holding()
  local counts = {}
  for _, rid in ipairs(redis.call('HVALS', K.holders)) do
    local r = read_request(rid)
    if r then counts[r.agent] = (counts[r.agent] or 0) + 1 end -- nil: ended in this very script
  end
  return counts
end
