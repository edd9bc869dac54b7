-- alpha tunes itself at each release: where waits differ much (coefficient of variation of D above
-- 0.5) age counts more, else where the queues have grown depth counts more; 0.01 a time, within 0 to 0.5.
-- The sums over the competing agents are kept by `store_load` (loads.lua) and `pass` (finish.lua).
--@include keys

local function adapt_alpha()
  local t, step, reason = S.tuning, 0, 'above 0.5'
  t.changed = true
  if t.competing > 1 and t.competing * t.squares - t.ages * t.ages > 0.25 * t.ages * t.ages then
    step, reason = -0.01, 'waits differ'
  elseif t.total > t.last then
    step, reason = 0.01, 'queues grow'
  end
  t.last = t.total
  local alpha = math.min(math.max(S.alpha + step, 0), 0.5)
  if alpha == S.alpha then return end
  S.alpha = alpha
  local entries = (redis.call('HGET', K.vars, 'tunings') or '') .. string.format('%d:%.17g:%s;', S.tick, alpha, reason)
  local _, count = string.gsub(entries, ';', '')
  if count > 20 then entries = string.gsub(entries, '^[^;]*;', '', 1) end
  redis.call('HSET', K.vars, 'tunings', (entries))
end

-- The sums from the loads themselves: when alpha begins to tune itself.
local function start_tuning()
  S.tuning = { competing = 0, ages = 0, squares = 0, total = 0, last = 0, changed = true }
  for _, row in ipairs(redis.call('HVALS', K.loads)) do
    local q, tick = string.match(row, '^(%d+)|(%d+)|')
    local age = S.tick - tick
    S.tuning.competing, S.tuning.total = S.tuning.competing + 1, S.tuning.total + q
    S.tuning.ages, S.tuning.squares = S.tuning.ages + age, S.tuning.squares + age * age
  end
  S.tuning.last = S.tuning.total
end
