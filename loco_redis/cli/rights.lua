-- Which of these Redis commands may this user not run? Each is tried so that it fails or changes nothing.
-- KEYS: the resource's `vars`, a hash; a key that is never made
-- ARGV: channel prefix, commands...
-- Reply: the commands that were denied; nothing where the resource is gone
local VARS, NOTHING, CHANNEL = KEYS[1], KEYS[2], ARGV[1]

-- Those of other types are told that `vars` is a hash.
local TRIALS = {
  BITPOS = { VARS, 0 }, DEL = { NOTHING }, HDEL = { VARS, '' }, HEXISTS = { VARS, 'counters' }, HGET = { VARS, '' },
  HGETALL = { VARS }, HINCRBY = { VARS, '', 'no number' }, HKEYS = { VARS }, HLEN = { VARS }, HMGET = { VARS, '' },
  HSET = { VARS, 'one', 'two', 'three' }, HVALS = { VARS }, LPUSH = { VARS, '' }, LTRIM = { VARS, 0, 0 },
  PUBLISH = { CHANNEL, '' }, SETBIT = { VARS, 0, 0 }, TIME = {}, XADD = { VARS, '*', 'f', '' }, ZADD = { VARS, 0, '' },
  ZCARD = { VARS }, ZRANGE = { VARS, 0, 0 }, ZRANGEBYLEX = { VARS, '-', '+' }, ZREM = { VARS, '' },
  ZREMRANGEBYLEX = { VARS, '-', '+' }, ZREMRANGEBYRANK = { VARS, 0, 0 }, ZREVRANGE = { VARS, 0, 0 },
  ZREVRANGEBYLEX = { VARS, '+', '-' }, ZSCORE = { VARS, '' },
}

-- The reply, and whether it is a refusal: each generation of servers words it in its own way.
local function try(name)
  local reply = redis.pcall(name, unpack(TRIALS[name]))
  local told = type(reply) == 'table' and reply.err or ''
  return reply, string.find(told, "The user executing the script can't", 1, true) or string.find(told, 'ACL fail', 1, true)
    or string.find(told, 'NOPERM', 1, true) or string.find(told, 'no permission', 1, true)
end

local is_there, is_denied = try('HEXISTS')
if is_denied then return { 'HEXISTS' } end
if is_there ~= 1 then return {} end
local denied = {}
for i = 2, #ARGV do
  if TRIALS[ARGV[i]] and select(2, try(ARGV[i])) then denied[#denied + 1] = ARGV[i] end
end
return denied
