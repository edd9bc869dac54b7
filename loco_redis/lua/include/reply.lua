-- A reply without grants: those made to requests of the calling session are told by hints.
local function reply(status, ...)
  local values = write(status, ...)
  for _, grant in ipairs(own_grants) do redis.call('PUBLISH', CHANNEL .. SESSION, grant) end
  return values
end
