-- The entries of this script, in the order of its decisions.
local function write_events()
  for i, entry in ipairs(S.noted) do
    redis.call('XADD', K.events, 'MAXLEN', '~', int(S.events), string.format('%d-%d', S.serial, i), unpack(entry))
  end
  S.noted = nil
end
