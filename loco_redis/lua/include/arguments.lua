-- What no sound client sends ends a script before it has written anything: a faulty one can neither stop a script
-- half-way, which would keep what it had written, nor fill the server. That a session is alive says that its id is one.
--@include limits

local function check(is_sound, what)
  if not is_sound then error('loco-redis refuses this ' .. what .. ': its client is faulty, or of another version', 0) end
end

local function check_call(floor, seen)
  check((tonumber(floor) or MOST_DEPTH) < MOST_DEPTH and (tonumber(seen) or MOST_DEPTH) < MOST_DEPTH, 'call')
end

-- The request must be the session's own, and not far ahead of the replies that its client waits for: each one ahead may
-- leave a tombstone.
local function check_rid(rid, floor)
  check(string.sub(rid, 1, -13) == SESSION .. ':' and not string.find(rid, '%D', -12)
    and string.sub(rid, -12) - floor <= MOST_AHEAD, 'request id')
end
