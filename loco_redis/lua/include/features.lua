-- What is switched on besides the plain scheduler, one letter each, and what it keeps in `vars`:
-- b budgets and ceilings, c caps, p policies, s trust, o SLO, r requests a minute, t tokens a minute,
-- x adaptive capacity, u adaptive alpha, h a hold was asked for by `throttle`, e events, z paused.
--@include keys
--@include limit

local PACING = '^(%d+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$'
local NOTHING = '0|0|0|0|0|0'
local TUNING = '^([^|]+)|(%d+)|(%d+)|(%d+)|(%d+)|(%d+)$'

local function read_features(features)
  local v = redis.call('HMGET', K.vars, 'rpm', 'rpm_burst', 'tpm', 'tpm_burst', 'pacing', 'tuning', 'events')
  S.features = features
  S.rpm, S.rpm_burst, S.tpm, S.tpm_burst = (v[1] or 0) + 0, (v[2] or 0) + 0, (v[3] or 0) + 0, (v[4] or 0) + 0
  local requests, tokens, hold, effective, cut, told = string.match(v[5] or NOTHING, PACING)
  S.requests_at, S.tokens_at, S.hold, S.effective = requests + 0, tokens + 0, hold + 0, effective + 0
  S.cut, S.told, S.pacing, S.events = cut + 0, told + 0, v[5] or NOTHING, (v[7] or 0) + 0
  S.limit = limit_now()
  if v[6] then
    local alpha, competing, ages, squares, total, last = string.match(v[6], TUNING)
    S.tuning = { competing = competing + 0, ages = ages + 0, squares = squares + 0, total = total + 0, last = last + 0 }
    S.alpha = alpha + 0
  end
end

local LETTERS = 'bcpsorxuthez'

-- Switches a letter on or off.
local function set_feature(letter, is_on)
  local now = ''
  for known in string.gmatch(LETTERS, '.') do
    if known == letter and is_on or known ~= letter and string.find(S.features or '', known, 1, true) then now = now .. known end
  end
  S.features = now ~= '' and now or nil
  if S.features and not S.pacing then read_features(now) end
  if not S.features then
    redis.call('HDEL', K.vars, 'pacing', 'tuning')
    S.pacing = S.pacing and NOTHING -- it is written again, if this script switches something else on
  end
end

local function write_features()
  local pacing = string.format('%d|%d|%d|%d|%d|%d', S.requests_at, S.tokens_at, S.hold, S.effective, S.cut, S.told)
  if pacing ~= S.pacing then redis.call('HSET', K.vars, 'pacing', pacing) end
  local t = S.tuning
  if t and t.changed then
    redis.call('HSET', K.vars, 'tuning', string.format('%.17g|%d|%d|%d|%d|%d', S.alpha, t.competing, t.ages, t.squares,
      t.total, t.last))
  end
end
