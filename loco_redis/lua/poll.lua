-- poll: what a session has in Redis, for a client that may have missed a hint.
-- ARGV: channel session after (a rid, or empty to begin)
-- Reply: status serial delivered after rows... (in order of rid: the grant of what is granted, the sequence of what waits; after: where to go on, empty at the end)
-- Statuses: OK EXPIRED
-- Cost: O(500 requests) a call. Writes nothing
-- Keeps: all
local CHANNEL, SESSION, after = unpack(ARGV)
--@include status
--@include state
--@include session_row
--@include request_row
--@include regrant_text

local PAGE = 500

read_state()
local session = S and session_row(SESSION)
if not session then return { EXPIRED, 0 } end
local from = after == '' and '[' .. SESSION .. ':' or '(' .. after
local rids = redis.call('ZRANGEBYLEX', K.owned, from, '(' .. SESSION .. ';', 'LIMIT', '0', PAGE)
local values = { OK, S.serial, session.delivered, #rids == PAGE and rids[PAGE] or '' }
for _, rid in ipairs(rids) do
  local request = read_request(rid)
  values[#values + 1] = request.state == 'G' and regrant_text(request) or int(tonumber(string.sub(rid, -12)))
end
return values
