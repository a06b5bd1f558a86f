-- The operations `next`, which finds the tasks to take next, and `start`, which charges for a task that starts.
-- The first `wanted` of the waiting tasks `ids`, which come in the queue's order. Tasks whose tenants owe are postponed
-- when their turn comes. `is_all`: no other task waits.
local function next_tasks(wanted, is_all, ids)
  local found, postponed, last = {}, {}, 0
  local function before(score, id) -- moves the postponed tasks that come before a task
    table.sort(postponed, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
    while postponed[1] and #found < wanted
      and (postponed[1][1] < score or (postponed[1][1] == score and postponed[1][2] < id)) do
      table.insert(found, table.remove(postponed, 1)[2])
    end
  end
  for _, id in ipairs(ids) do
    last = tonumber(redis.call('ZSCORE', queue, id))
    if last then
      if postponed[1] then before(last, id) end
      if #found == wanted then return found end
      local start = last <= max_start and pay_debt(id, last)
      table.insert(start and postponed or found, start and {start, id} or id)
    end
  end
  before(is_all and math.huge or last or 0, '')
  return found
end

-- The tasks of the backlog that wait, first at least `wanted` if there are so many; and whether these are all.
local function backlog(wanted)
  local found, at, are_all = {}, 0, false
  repeat
    local ids = redis.call('ZRANGEBYSCORE', queue, 0, '+inf', 'LIMIT', at, page)
    for _, id in ipairs(ids) do
      if redis.call('EXISTS', running_prefix .. id) == 0 then table.insert(found, id) end
    end
    at, are_all = at + page, #ids < page
  until are_all or #found >= wanted
  return found, are_all
end

local function charge_of(id)
  local tenant, cost = owner_of(id)
  return tenant or '', tonumber(cost or 0)
end

local function virtual_time()
  return tonumber(redis.call('ZSCORE', clock, queue) or min_start)
end

local function use_of(tenant)
  return tonumber(redis.call('ZSCORE', uses, tenant) or 0)
end

-- The first `wanted` of both classes: an interactive task goes first while its class and its tenant are within their
-- bounds. What the tasks found would be charged counts for those after them.
local function of_both_classes(wanted, rate, interactive, others)
  local found, used, left, now = {}, {}, tonumber(redis.call('GET', credit) or ahead), virtual_time()
  local function first_within_bounds()
    for at, id in ipairs(interactive) do
      local tenant, cost = charge_of(id)
      if (used[tenant] or use_of(tenant)) <= now + ahead then
        return left >= math.min(cost, ahead) and at or nil
      end
    end
  end
  while #found < wanted and (interactive[1] or others[1]) do
    local at = others[1] and first_within_bounds() or nil
    if not others[1] then at = 1 end
    local id = table.remove(at and interactive or others, at or 1)
    local tenant, cost = charge_of(id)
    if not at then
      left = math.min(ahead, left + cost * rate)
    elseif others[1] then
      left = left - cost
      used[tenant] = math.max(now, used[tenant] or use_of(tenant)) + cost
    end
    table.insert(found, id)
  end
  return found
end

if ARGV[1] == 'next' then
  local wanted, is_all, rate = tonumber(ARGV[12]), ARGV[13] == '1', tonumber(ARGV[14])
  local ids, interactive = {unpack(ARGV, 15)}, {}
  for _, id in ipairs(ids) do
    local score = tonumber(redis.call('ZSCORE', queue, id))
    if score and score >= 0 or #interactive == max_looked_at then break end
    if score then table.insert(interactive, id) end
  end
  if interactive[1] then
    interactive = next_tasks(max_looked_at, #interactive < max_looked_at, interactive)
    local others, are_all = backlog(wanted)
    return of_both_classes(wanted, rate, interactive, next_tasks(wanted, are_all, others))
  end
  if not owing[debts] then return ids end
  return next_tasks(wanted, is_all, ids)
end

local function set_credit(seconds)
  if seconds >= ahead then return redis.call('DEL', credit) end
  redis.call('SET', credit, string.format('%.17g', seconds), 'PX', ttl_ms)
end

-- Charges a tenant for interactive work while others wait: it uses the credit of its class and its own share.
local function charge_interactive(tenant, seconds)
  local now = virtual_time()
  set_credit(tonumber(redis.call('GET', credit) or ahead) - seconds)
  redis.call('ZADD', uses, math.min(max_start, math.max(now, math.max(now, use_of(tenant)) + seconds)), tenant)
  redis.call('PEXPIRE', uses, ttl_ms)
  local finish = math.max(now, tonumber(redis.call('ZSCORE', finish_times, tenant) or now))
  redis.call('ZADD', finish_times, math.min(max_start, math.max(now, finish + seconds)), tenant)
  redis.call('PEXPIRE', finish_times, ttl_ms)
  if finish > now and seconds > 0 then -- its tasks that wait are postponed
    redis.call('HINCRBY', debts, tenant, string.format('%.0f', seconds))
    redis.call('PEXPIRE', debts, ttl_ms)
    redis.call('HDEL', gaps, tenant)
  end
end

if ARGV[1] == 'start' then
  local id, score, rate = ARGV[12], tonumber(ARGV[13]), tonumber(ARGV[14])
  if score > max_start then return end -- not ours
  redis.call('ZADD', clock, 'GT', score < 0 and score + band or score, score < 0 and class_clock or queue)
  local left = redis.call('GET', credit)
  if score < 0 or left then
    local tenant, cost = charge_of(id)
    if score >= 0 then
      set_credit(tonumber(left) + cost * rate)
    elseif cost > 0 and backlog(1)[1] then
      charge_interactive(tenant, cost)
    end
  end
  return
end
