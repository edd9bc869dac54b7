-- Leases by agent, counted from the holders: only rare verbs and readers need it.
--@include request_row

local function holding()
  local counts = {}
  for _, rid in ipairs(redis.call('HVALS', K.holders)) do
    local agent = read_request(rid).agent
    counts[agent] = (counts[agent] or 0) + 1
  end
  return counts
end
