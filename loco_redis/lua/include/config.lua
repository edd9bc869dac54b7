-- The configuration beyond capacity, alpha, lease and max_waiters, and how replies tell all of it.
--@include features
--@include tuning

local PACE = { 'rpm', 'rpm_burst', 'tpm', 'tpm_burst', 'adaptive', 'auto_tune', 'events', 'paused' } -- absent: 0

-- Stores what is given; an empty value keeps.
local function store_pace(given)
  for i, field in ipairs(PACE) do
    if given[i] == '0' then redis.call('HDEL', K.vars, field) end
    if given[i] ~= '' and given[i] ~= '0' then redis.call('HSET', K.vars, field, given[i]) end
  end
end

-- Switches on what the stored configuration asks for, and off what it does not.
local function start_features()
  local stored, was = redis.call('HMGET', K.vars, unpack(PACE)), S.features or ''
  for i, letter in ipairs({ 'r', false, 't', false, 'x', 'u', 'e', 'z' }) do
    local is_on = stored[i] and true or false
    if letter and is_on ~= (string.find(was, letter, 1, true) ~= nil) then set_feature(letter, is_on) end
  end
  S.rpm, S.rpm_burst = (stored[1] or 0) + 0, (stored[2] or 0) + 0
  S.tpm, S.tpm_burst = (stored[3] or 0) + 0, (stored[4] or 0) + 0
  if stored[6] and not S.tuning then start_tuning() end
  if not stored[6] and S.tuning then
    redis.call('HDEL', K.vars, 'tuning')
    S.tuning, S.alpha = nil, S.set_alpha + 0
  end
  if not stored[5] then S.effective, S.cut = 0, 0 end
  S.events = (stored[7] or 0) + 0
  if not stored[7] then
    S.noted = nil
    redis.call('DEL', K.events)
  end
  S.limit, S.G, S.note = limit_now(), nil, nil
  if S.features then
    --@include governance
  end
end

local function config(...)
  local v = redis.call('HMGET', K.vars, 'born', unpack(PACE))
  for i = 1, #PACE + 1 do v[i] = (v[i] or 0) + 0 end
  return S.capacity, S.set_alpha, S.lease, S.max_waiters, S.version, v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9], v[1], ...
end
