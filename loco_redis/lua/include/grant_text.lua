-- A grant as its client reads it, in a reply or in a hint (README.md).
--@include sessions
--@include rows

local function grant_text(r, has_body)
  local _, sequence = owner_of(r.id)
  return string.format('%d|%s|%s|%d|%s|%s|%s|%s|%s', sequence, r.slot, r.token, r.weight, r.attempt, r.waited,
    r.score, has_body, r.task)
end

-- The same for a request that was granted earlier.
local function granted_text(r)
  local task = r.task ~= '' and read_task(r.task)
  return grant_text(r, task and task.has_body or '0')
end
