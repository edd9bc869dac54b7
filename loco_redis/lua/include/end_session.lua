-- Ends what a session owns: its waiting requests are withdrawn, its leases reclaimed.
--@include withdraw
--@include reclaim

local UNITS = 32 -- requests and sessions that a script ends: somebody waits behind it, 0.1 ms for each

local function forget_session(id)
  redis.call('ZREM', K.deadlines, id)
  redis.call('HDEL', K.sessions, id)
  redis.call('ZREMRANGEBYLEX', K.tombstones, '[' .. id .. ':', '(' .. id .. ';')
  sessions[id] = nil
end

-- At most `units` requests; returns the units spent and whether the session is gone.
local function end_session(id, units)
  local rids = redis.call('ZRANGEBYLEX', K.owned, '[' .. id .. ':', '(' .. id .. ';', 'LIMIT', '0', units)
  for _, rid in ipairs(rids) do
    local request = read_request(rid)
    if request.state == 'W' then
      withdraw(request)
    else
      if S.note then S.note('reclaimed', request.agent, 'id', rid, 'slot', request.slot, 'token', request.token) end
      reclaim(request)
    end
  end
  if #rids == units then return units, false end
  forget_session(id)
  return #rids + 1, true
end
