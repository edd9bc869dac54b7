-- What `acquire` does for a live session; returns the status and the values of its reply.
--@include limits
--@include queue

local function acquire_slot(session, rid, agent, weight, given)
  local sequence = string.sub(rid, -12) + 0

  if sequence <= session.last or sequence <= session.tombs or sequence < session.floor then -- asked for before?
    --@include asked_before
    local status, tick, wait, depth = asked_before(rid, sequence)
    if status then return status, tick, wait, depth end
  end

  local load = load_of(agent)
  local open = weight == '' and load.durable > load.open
  local request = { id = rid, lane = open and 'o' or 'b', agent = agent, weight = open and 0 or tonumber(weight) or 1000,
    terms = '' }
  local room, plan = S.held < S.limit, nil
  if load.q + request.weight > MOST_DEPTH then
    --@include refuse
    refuse(agent, 'full', { 'weight', int(MOST_DEPTH) })
    return REFUSED, 'full', 'weight', MOST_DEPTH
  end
  if S.G then
    --@include at_once
    if not open then
      local refusal
      plan, refusal = S.G.decide(agent, request.weight, given)
      if not plan then
        --@include refuse
        refuse(agent, refusal[1], { unpack(refusal, 2) })
        return REFUSED, unpack(refusal)
      end
    end
    room = room and may_go_at_once(agent, plan and plan.tokens or 0)
  elseif given ~= '' and not open then
    --@include terms
    request.terms = bare_terms(given)
  end
  if not room and S.waiting - S.servers >= (S.max_waiters >= 0 and math.min(S.max_waiters, MOST_WAITERS) or MOST_WAITERS) then
    --@include refuse
    refuse(agent, 'backpressure', {})
    return BACKPRESSURE, S.tick, 0, 0
  end

  if plan then request.terms = S.G.admit(plan) end
  S.seq = S.seq + 1
  request.seq, request.tick, request.since = S.seq, S.tick, S.raw
  session.last, session.changed = math.max(session.last, sequence), true
  redis.call('ZADD', K.owned, '0', rid)
  if room and not open then
    --@include grant_at_once
    grant_at_once(request)
    return GRANTED, S.tick, 0, load.q + request.weight
  end

  --@include waiting_row
  write_waiting(request)
  S.waiting = S.waiting + 1
  if open then
    --@include open_lane
    add_open(load, request.seq, request.tick, rid)
  else
    add_task(load, 'b', request.seq, request.tick, request.weight, rid, request.terms)
  end
  store_load(load)
  local depth = load.q
  if S.note then S.note('submitted', agent, 'id', rid, 'weight', int(request.weight), 'depth', int(depth)) end
  if room or S.G then
    --@include answer
    return answer(sequence, depth)
  end
  return QUEUED, S.tick, 0, depth
end
