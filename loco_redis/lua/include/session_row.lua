-- Sessions: until when each lives, what its client has asked and seen, how many grants it was given.
--@include keys

local sessions = {}

local function session_row(id)
  local session = sessions[id]
  if session then return session end
  local row = redis.call('HGET', K.sessions, id)
  if not row then return nil end
  local deadline, floor, last, tombs, delivered, info = string.match(row, '^(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(.*)$')
  session = { deadline = deadline + 0, floor = floor + 0, last = last + 0, tombs = tombs + 0, delivered = delivered + 0,
    info = info }
  sessions[id] = session
  return session
end
