-- When the next grant may be made: the resource's own rate, and a hold that somebody asked for. By the
-- lease clock, which an outage or a step of the server's clock does not move.
--@include gcra
--@include terms

local MINUTE = 60000000

local function tokens_of(terms)
  local _, tokens = read_terms(terms)
  return tokens
end

-- The estimated tokens of what `serve` (grant.lua) would serve.
local function next_tokens(load)
  if load.lane == 'b' or load.open > 0 or S.servers > 0 then return tokens_of(load.terms) end
  --@include request_row
  --@include lane_head
  return tokens_of(read_request(lane_head(load.agent, 'b').id).terms)
end

-- How long no grant at all may be made, in us.
local function pause()
  local wait = math.max(S.hold - S.vnow, 0)
  if S.rpm > 0 then
    local _, rate = gcra(S.requests_at, S.vnow, 1, S.rpm_burst, S.rpm, MINUTE)
    wait = math.max(wait, rate)
  end
  return wait
end

-- How long one with so many tokens may not be granted.
local function pause_for(tokens)
  if S.tpm == 0 then return 0 end
  local _, wait = gcra(S.tokens_at, S.vnow, tokens, S.tpm_burst, S.tpm, MINUTE)
  return wait
end

-- A grant takes (1), or gives back (-1), its share of the rate.
local function take_rate(terms, sign)
  if S.rpm > 0 then
    S.requests_at = sign * math.floor(MINUTE / S.rpm) + (sign > 0 and math.max(S.requests_at, S.vnow) or S.requests_at)
  end
  if S.tpm > 0 then
    S.tokens_at = sign * math.floor(tokens_of(terms) * MINUTE / S.tpm) + (sign > 0 and math.max(S.tokens_at, S.vnow) or S.tokens_at)
  end
  S.requests_at, S.tokens_at = math.max(S.requests_at, 0), math.max(S.tokens_at, 0)
end

-- A lease needed other tokens than were estimated.
local function correct_tokens(estimated, actual)
  if S.tpm > 0 then
    local moved = math.floor(math.abs(actual - estimated) * MINUTE / S.tpm)
    S.tokens_at = actual > estimated and math.max(S.tokens_at, S.vnow) + moved or math.max(S.tokens_at - moved, 0)
  end
end
