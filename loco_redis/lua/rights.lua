-- rights: which of these Redis commands may this user not run on these keys and this channel?
-- ARGV: channel session commands (NAME or NAME|SUBCOMMAND, with blanks between)
-- Reply: status serial, then the denied commands...
-- Statuses: OK
-- Cost: O(commands). Writes nothing: servers before 7.0 try each so that it fails or changes nothing
-- Keeps: all
local CHANNEL, SESSION, commands = unpack(ARGV)
--@include status

local VARS = K.vars
local TRIALS = {
  BITPOS = { VARS, '0' }, DEL = { VARS }, EVAL = { '', '1', VARS }, EVALSHA = { '', '1', VARS }, EXISTS = { VARS },
  HDEL = { VARS, '' }, HEXISTS = { VARS, '' }, HGET = { VARS, '' }, HGETALL = { VARS }, HINCRBY = { VARS, '', 'no number' },
  HKEYS = { VARS }, HLEN = { VARS }, HMGET = { VARS, '' }, HSCAN = { VARS, '0' }, HSET = { VARS, 'one', 'two', 'three' },
  HVALS = { VARS }, LPUSH = { VARS, '' }, LRANGE = { VARS, '0', '0' }, LTRIM = { VARS, '0', '0' }, PUBLISH = { CHANNEL, '' },
  SETBIT = { VARS, 'no number', '0' }, TIME = {}, XADD = { VARS, 'NOMKSTREAM', '*', 'f', '' }, ZADD = { VARS, 'no number', '' },
  ZCARD = { VARS }, ZRANGE = { VARS, '0', '0' }, ZRANGEBYLEX = { VARS, '-', '+' }, ZREM = { VARS, '' },
  ZREMRANGEBYLEX = { VARS, '-', '+' }, ZREMRANGEBYRANK = { VARS, '0', '0' }, ZREVRANGE = { VARS, '0', '0' },
  ZREVRANGEBYLEX = { VARS, '+', '-' }, ZSCORE = { VARS, '' }, ['SCRIPT|LOAD'] = { 'LOAD', '' },
}

-- Each generation of servers words a refusal in its own way.
local REFUSALS = { "The user executing the script can't", 'ACL fail', 'NOPERM', 'no permission' }
local function is_denied(name, ...)
  local reply = redis.pcall(name, ...)
  local told = type(reply) == 'table' and tostring(reply.err) or ''
  for _, words in ipairs(REFUSALS) do
    if string.find(told, words, 1, true) then return true end
  end
  return false, reply
end

-- These two succeed on whatever is there, so they are tried on what is not: a key that is absent, another type.
local UNHARMED = {}
function UNHARMED.DEL()
  for _, key in ipairs(KEYS) do
    if redis.pcall('EXISTS', key) == 0 then return is_denied('DEL', key) end
  end
end
function UNHARMED.LPUSH()
  if redis.pcall('EXISTS', VARS) == 1 then return is_denied('LPUSH', VARS, '') end
  if redis.pcall('EXISTS', VARS) ~= 0 or is_denied('DEL', VARS) then return end
  local denied, pushed = is_denied('LPUSH', VARS, '')
  if pushed == 1 then redis.pcall('DEL', VARS) end
  return denied
end

local CALLED_OUTSIDE = { EVAL = true, EVALSHA = true, ['SCRIPT|LOAD'] = true }
local function may(name)
  local trial = TRIALS[name]
  if not trial then return true end
  if redis.acl_check_cmd then return redis.acl_check_cmd(string.match(name, '^%u+'), unpack(trial)) end
  if CALLED_OUTSIDE[name] then return true end
  if UNHARMED[name] then return not UNHARMED[name]() end
  return not is_denied(name, unpack(trial))
end

local values = { OK, 0 }
for name in string.gmatch(commands, '%S+') do
  if not may(name) then values[#values + 1] = name end
end
return values
