-- The end of a verb without grants in its reply: those made to requests of the calling session are told by hints.
local function conclude_with_hints(status, ...)
  local values = conclude(status, ...)
  for at, grant in ipairs(own_grants) do
    redis.call('PUBLISH', CHANNEL .. SESSION, grant)
    own_grants[at] = nil
  end
  return values
end

-- The reply of a script with that end.
local function reply(status, ...)
  if not S then return { status, 0 } end
  local values = conclude_with_hints(status, ...)
  save()
  return values
end
