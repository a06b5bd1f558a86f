-- The operation `take`: removes the next tasks from the queue, and charges for them. Its cost does not depend on how many
-- tasks run or wait. Returns their ids; after `max_postponed` debts were paid, fewer than are due.
if ARGV[1] == 'take' then
  local wanted, rate, postponed, found = tonumber(ARGV[first]), tonumber(ARGV[first + 1]), 0, {}
  local time = redis.call('TIME')
  local now_ms = time[1] * 1000 + math.floor(time[2] / 1000) -- a score after it is not due; no score of ours is

  -- The first task of the backlog after all debts.
  local function first_of_backlog(id, score)
    while id and score <= max_start and postponed < max_postponed and pay_debt(id, score) do
      postponed = postponed + 1
      id, score = unpack(redis.call('ZRANGEBYSCORE', queue, 0, now_ms, 'WITHSCORES', 'LIMIT', 0, 1))
      score = tonumber(score)
    end
    return id, score
  end

  local function first_of_class()
    return redis.call('ZRANGEBYSCORE', queue, '-inf', '(0', 'WITHSCORES', 'LIMIT', 0, max_looked_at)
  end

  -- The interactive task that goes next; nil if the backlog goes first.
  local function next_interactive(others_wait)
    local ids, was_paid = first_of_class(), false
    for at = 1, #ids, 2 do was_paid = pay_debt(ids[at], tonumber(ids[at + 1])) or was_paid end
    if was_paid then ids = first_of_class() end
    if not others_wait then return ids[1], tonumber(ids[2]) end
    local now = virtual_time()
    for at = 1, #ids, 2 do
      local tenant, cost = owner_of(ids[at])
      if use_of(tenant or '') <= now + ahead then
        if tonumber(redis.call('GET', credit) or ahead) < math.min(tonumber(cost or 0), ahead) then return nil end
        return ids[at], tonumber(ids[at + 1])
      end
    end
  end

  local function charge(id, score, others_wait)
    if score > max_start then return end -- not ours
    redis.call('ZADD', clock, 'GT', score < 0 and score + band or score, score < 0 and class_clock or queue)
    local left = redis.call('GET', credit)
    if score >= 0 and not left or score < 0 and not others_wait then return end
    local tenant, cost = owner_of(id)
    tenant, cost = tenant or '', tonumber(cost or 0)
    if score >= 0 then
      set_credit(tonumber(left) + cost * rate)
    elseif cost > 0 then
      charge_interactive(tenant, cost)
    end
  end

  local function take_one()
    local id, score = unpack(redis.call('ZRANGEBYSCORE', queue, '-inf', now_ms, 'WITHSCORES', 'LIMIT', 0, 1))
    score = tonumber(score)
    local other, other_score = id, score
    if id and score < 0 then
      other, other_score = unpack(redis.call('ZRANGEBYSCORE', queue, 0, now_ms, 'WITHSCORES', 'LIMIT', 0, 1))
    end
    other, other_score = first_of_backlog(other, tonumber(other_score))
    if postponed == max_postponed then return nil end
    local urgent, urgent_score
    if id and score < 0 then urgent, urgent_score = next_interactive(other ~= nil) end
    id, score = urgent or other, urgent_score or other_score
    if not id then return nil end
    charge(id, score, other ~= nil)
    redis.call('ZREM', queue, id)
    return id
  end

  redis.call('ZREMRANGEBYSCORE', taken, '-inf', now_ms - taken_ms)
  while #found < wanted do
    local id = take_one()
    if not id then break end
    table.insert(found, id)
    redis.call('ZADD', taken, now_ms, id)
    redis.call('DEL', job_prefix .. id)
  end
  if found[1] then redis.call('PEXPIRE', taken, taken_ms) end
  if #found == wanted and redis.call('ZCARD', queue) > 0 or postponed == max_postponed then
    wake_a_worker()
  else
    redis.call('DEL', wake)
  end
  return found
end
