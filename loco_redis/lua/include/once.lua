-- What makes a call safe to repeat. A sequence below the session's floor has had its reply; above it a
-- tombstone tells that the call was carried out or cancelled.
--@include session_row

local function done_before(rid)
  local sequence, session = string.sub(rid, -12) + 0, session_row(SESSION)
  return sequence < session.floor or sequence <= session.tombs and redis.call('ZSCORE', K.tombstones, rid) ~= false
end

-- `owner` is the session of the rid, where that is not the calling one.
local function leave_tombstone(rid, owner)
  local sequence, session = string.sub(rid, -12) + 0, session_row(owner or SESSION)
  if sequence < session.floor then return end
  redis.call('ZADD', K.tombstones, '0', rid)
  session.tombs, session.changed = math.max(session.tombs, sequence), true
end
