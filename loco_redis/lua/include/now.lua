-- The server's clock in microseconds, asked once in a script. Test builds substitute this file.
local time = redis.call('TIME')
local NOW = time[1] * 1000000 + time[2]
