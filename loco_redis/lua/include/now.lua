-- The server's clock in microseconds. Asked once in a script; test builds substitute this file.
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end
