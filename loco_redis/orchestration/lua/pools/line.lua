-- The line of a group: who waits for several resources at once, holding none of them. One hash:
--   `#seq` how many have joined, `#tick` how many of their leases have ended, `#alpha` of L(i)
--   `<pool>:<number>` -> `seq|tick|weight|until|names|agent`: its turn and tick of joining, thousandths, when it
--   expires (us by TIME) unless it asks again, resources joined by a comma
local time = redis.call('TIME')
local NOW = time[1] * 1000000 + time[2]
local FIGURES = 3 -- fields of the hash that are no waiters

local function int(number)
  return string.format('%d', number)
end

local function read_waiter(id, row)
  local w = { id = id }
  w.seq, w.tick, w.weight, w.expires, w.names, w.agent = string.match(row, '^(%d+)|(%d+)|(%d+)|(%d+)|([^|]*)|(.*)$')
  w.seq, w.tick, w.weight, w.expires = w.seq + 0, w.tick + 0, w.weight + 0, w.expires + 0
  return w
end

-- All who wait, by id; who has not asked again for too long is taken out.
local function read_line(LINE)
  local fields, waiters = redis.call('HGETALL', LINE), {}
  for at = 1, #fields, 2 do
    if string.sub(fields[at], 1, 1) ~= '#' then
      local waiter = read_waiter(fields[at], fields[at + 1])
      if waiter.expires < NOW then redis.call('HDEL', LINE, waiter.id) else waiters[waiter.id] = waiter end
    end
  end
  return waiters
end

-- Gives each its L(i): Q is what its agent has waiting here, D its own age.
local function weigh(waiters, tick, alpha)
  local q, most_q, most_d = {}, 1, 0
  for _, w in pairs(waiters) do
    q[w.agent] = (q[w.agent] or 0) + w.weight
    most_q, most_d = math.max(most_q, q[w.agent]), math.max(most_d, tick - w.tick)
  end
  for _, w in pairs(waiters) do
    w.score = alpha * q[w.agent] / most_q + (most_d > 0 and (1 - alpha) * (tick - w.tick) / most_d or 0)
  end
end

local function is_before(a, b)
  if a.score ~= b.score then return a.score > b.score end
  if a.seq ~= b.seq then return a.seq < b.seq end
  return a.id < b.id
end

-- Slots that nobody holds. What is not there counts as free: `acquire` will say so.
local function free_slots(vars, holders)
  local row = redis.call('HMGET', vars, 'config', 'paused')
  if not row[1] then return 1 end
  if row[2] == '1' then return 0 end
  return string.match(row[1], '^%d+') - redis.call('HLEN', holders)
end

-- Tells those who can go, as far as `free` (slots by name) knows: what it does not know a waiter sees itself. Down the
-- order each has one slot of all it wants spoken for, also where it cannot go: or it would starve.
local function tell(waiters, free, channel)
  local order, told = {}, 0
  for _, waiter in pairs(waiters) do
    order[#order + 1] = waiter
  end
  table.sort(order, is_before)
  for _, waiter in ipairs(order) do
    local can_go = true
    for name in string.gmatch(waiter.names, '[^,]+') do
      local left = free[name]
      if left then
        can_go, free[name] = can_go and left > 0, left - 1
      end
    end
    if can_go then
      local pool, number = string.match(waiter.id, '^(.-):(%d+)$')
      redis.call('PUBLISH', channel .. pool, 'wake|' .. number)
      told = told + 1
    end
  end
  return told
end

-- Nobody waits: the figures begin anew with the next.
local function tidy(LINE)
  if redis.call('HLEN', LINE) <= FIGURES then redis.call('DEL', LINE) end
end
