-- complete: ends the lease of a durable task as `release` does, and says what became of the task.
-- ARGV: channel session floor seen rid token charge_weight cell labels outcome (c done, f failed, p put off: not counted as an attempt) value (of c: the result; of f, p: why) delay (us, of f and p)
-- Reply: status serial tick cost held wake grants... (as of release; wake: look again in so many us)
-- Statuses: OK FINISHED (no such lease any more) EXPIRED
-- Cost: O(log N), and one choice. Works on a full server
-- Keeps: 1-10; a repeat changes nothing
local CHANNEL, SESSION, floor, seen, rid, token, charge_weight, cell, labels, outcome, value, delay = unpack(ARGV)
--@include check_release
--@include numbers
check_call(floor, seen)
check_rid(rid, floor)
check_release(cell, labels)
check(outcome == 'c' and #value <= MOST_BODY or (outcome == 'f' or outcome == 'p') and #value <= MOST_TEXT, 'outcome')
check(is_number(delay, MOST_DELAY), 'delay')
--@include upkeep
--@include release_slot
--@include wake
--@include complete_task

local session = enter(floor, seen, true)
if not session then
  redis.call('HDEL', K.vars, '')
  return reply_with_grants(EXPIRED)
end

local function put_off(id)
  --@include put_back
  local task = read_task(id)
  if task.flags < 2 then
    write_order(id, { deadline = 0, ttl = 0, key = '' }) -- so that why it failed can be kept
    task.flags = task.flags + 2
  end
  if outcome == 'p' then
    task.attempt = task.attempt - 1
    return put_back(task, delay + 0, '')
  end
  redis.call('HSET', K.orders, 'e' .. id, 'f' .. value)
  put_back(task, delay + 0, 'f' .. value)
end

local status, tick, cost, held = release_slot(session, rid, token, charge_weight, cell, labels,
  outcome == 'c' and function(id) complete_task(id, value) end or put_off)
grant_all()
return reply_with_grants(status, tick, cost, held, wake(true))
