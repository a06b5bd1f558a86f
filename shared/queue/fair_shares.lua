-- The operations `add`, which scores dispatches, and `correct`, which corrects the cost of a task.
local head = redis.call('ZRANGEBYSCORE', queue, 0, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
local now = tonumber(redis.call('ZSCORE', clock, queue) or head or min_start)
if not head then -- nothing waits: all debts are cancelled
  now = math.max(now, tonumber(redis.call('ZREVRANGE', finish_times, 0, 0, 'WITHSCORES')[2] or min_start))
end
if now > max_start then -- virtual time is used up, or the head has a score that is not ours
  now = min_start
  redis.call('DEL', finish_times, gaps, debts, uses)
end
redis.call('ZADD', clock, now, queue)
redis.call('ZREMRANGEBYSCORE', uses, '-inf', now)

local idle = redis.call('ZRANGEBYSCORE', finish_times, '-inf', now, 'LIMIT', 0, max_idle_removed)
for _, tenant in ipairs(idle) do
  redis.call('ZREM', finish_times, tenant)
  redis.call('HDEL', gaps, tenant)
  redis.call('HDEL', debts, tenant)
  redis.call('DEL', chunks_prefix .. tenant)
end

local function finish_time_of(tenant)
  return math.min(max_start, math.max(now, tonumber(redis.call('ZSCORE', finish_times, tenant) or now)))
end

local function append(tenant, cost)
  local start = finish_time_of(tenant)
  redis.call('ZADD', finish_times, start + cost, tenant)
  return start
end

local function append_chunk(tenant, cost, id)
  local start = append(tenant, cost)
  redis.call('ZADD', chunks_prefix .. tenant, start, cost .. ' ' .. id)
  redis.call('PEXPIRE', chunks_prefix .. tenant, ttl_ms)
  return start
end

-- The tenant's first waiting chunk with a virtual start time within the bounds, or nil.
local function first_chunk(tenant, from, until_start)
  local chunks = chunks_prefix .. tenant
  while true do
    local member, start = unpack(redis.call('ZRANGEBYSCORE', chunks, from, until_start, 'WITHSCORES', 'LIMIT', 0, 1))
    if not member then return nil end
    local cost, id = string.match(member, '^(%d+) (.*)$')
    if not redis.call('ZSCORE', queue, id) then
      redis.call('ZREM', chunks, member)
    elseif not pay_debt(id, tonumber(start)) then
      return {member = member, id = id, cost = tonumber(cost), start = tonumber(start)}
    end
  end
end

-- A virtual start time in the tenant's gap. Postpones as many of its chunks as the gap needs; nil when they are too few.
local function use_gap(tenant, cost, until_start)
  local gap, left, from = string.match(redis.call('HGET', gaps, tenant) or '', '^(%S+) (%S+) (%S+)$')
  gap, left, from = math.max(now, tonumber(gap or now)), tonumber(left or 0), math.max(now, tonumber(from or now))
  local postponed, next_gap = {}, gap + cost
  while left < cost do
    local chunk = first_chunk(tenant, from, until_start)
    if not chunk then return nil end
    if left == 0 then -- a task shorter than the chunk starts earlier than the chunk would have, and ends no later
      gap = math.max(gap, chunk.start - math.max(0, chunk.cost - cost))
    end
    left, from = left + chunk.cost, chunk.start + 2 * chunk.cost
    next_gap = chunk.start + chunk.cost - left + cost
    table.insert(postponed, chunk)
  end
  for _, chunk in ipairs(postponed) do
    redis.call('ZREM', chunks_prefix .. tenant, chunk.member)
    redis.call('ZADD', queue, append_chunk(tenant, chunk.cost, chunk.id), chunk.id)
  end
  redis.call('HSET', gaps, tenant, string.format('%.0f %.0f %.0f', next_gap, left - cost, from))
  return gap
end

local class_now = nil -- the virtual time of the interactive class, when it is needed
local function set_class_now()
  class_now = tonumber(redis.call('ZSCORE', clock, class_clock) or min_start)
  if redis.call('ZCOUNT', queue, '-inf', '(0') == 0 then -- no task of the class waits: all its debts are cancelled
    class_now = math.max(class_now, tonumber(redis.call('ZREVRANGE', class_finish_times, 0, 0, 'WITHSCORES')[2] or 0))
  end
  if class_now > max_start then
    class_now = min_start
    redis.call('DEL', class_finish_times, class_debts)
  end
  redis.call('ZADD', clock, class_now, class_clock)
  for _, flow in ipairs(redis.call('ZRANGEBYSCORE', class_finish_times, '-inf', class_now)) do
    redis.call('ZREM', class_finish_times, flow)
    redis.call('HDEL', class_debts, flow)
  end
end

local function class_finish_time_of(flow)
  return math.min(max_start, math.max(class_now, tonumber(redis.call('ZSCORE', class_finish_times, flow) or class_now)))
end

-- The score of an interactive task. A long file does not delay its tenant's short ones: its chunks are a flow of their own.
local function interactive_score_of(rule, tenant, cost)
  if not class_now then set_class_now() end
  if rule == 'begun' then return class_now - 1 - band end
  local flow = rule == 'chunk' and tenant .. ' chunks' or tenant
  local start = class_finish_time_of(flow)
  redis.call('ZADD', class_finish_times, start + cost, flow)
  redis.call('PEXPIRE', class_finish_times, ttl_ms)
  return (rule == 'finish' and class_now - 1 or start) - band
end

local finish_before = {} -- of each tenant, before this batch: chunks of one file do not postpone each other
local function start_of(rule, tenant, cost, id)
  local of_class = string.match(rule, '^interactive (.*)$')
  if of_class then return interactive_score_of(of_class, tenant, cost) end
  if rule == 'begun' then return now - 1 end
  if rule == 'deliver' then return append(tenant, cost) end
  if rule == 'finish' then
    redis.call('ZADD', finish_times, finish_time_of(tenant) + cost, tenant)
    return now - 1
  end
  if rule == 'prepare' then return use_gap(tenant, cost, '+inf') or append(tenant, cost) end
  finish_before[tenant] = finish_before[tenant] or finish_time_of(tenant)
  return use_gap(tenant, cost, '(' .. finish_before[tenant]) or append_chunk(tenant, cost, id)
end

if ARGV[1] == 'correct' then publish() end

if ARGV[1] == 'correct' and ARGV[first + 2] == '1' then -- the same of an interactive task
  local tenant, late = ARGV[first], tonumber(ARGV[first + 1])
  set_class_now()
  local finish = math.max(class_now, math.min(max_start, class_finish_time_of(tenant) + late))
  redis.call('ZADD', class_finish_times, finish, tenant)
  redis.call('PEXPIRE', class_finish_times, ttl_ms)
  if late > 0 then add_debt(tenant, class_debts, late) end
  if head then charge_interactive(tenant, late) end
  return
end

if ARGV[1] == 'correct' then -- a task of the tenant took so much longer, or shorter, than was guessed
  local tenant, late = ARGV[first], tonumber(ARGV[first + 1])
  redis.call('ZADD', finish_times, math.max(now, math.min(max_start, finish_time_of(tenant) + late)), tenant)
  redis.call('PEXPIRE', finish_times, ttl_ms)
  if late > 0 then
    add_debt(tenant, debts, late)
    redis.call('HDEL', gaps, tenant) -- its chunks are postponed
  end
  return
end

-- A worker died between taking the previous dispatch and claiming it: the task has waited already, and was charged.
local function rule_after(previous, rule)
  local is_lost = previous ~= '' and rule ~= 'deliver' and redis.call('ZREM', taken, previous) == 1
  return is_lost and string.gsub(rule, '%S+$', 'begun') or rule
end

for at = first, #ARGV, 6 do
  local id, previous, rule, tenant, cost, payload = unpack(ARGV, at, at + 5)
  local score = redis.call('ZSCORE', queue, id)
  local kept = not score and previous ~= '' and redis.call('ZSCORE', queue, previous)
  if not score then
    score = kept or start_of(rule_after(previous, rule), tenant, tonumber(cost), id)
    redis.call('ZADD', queue, score, id)
  end
  local paid = debt_of(tenant, tonumber(score) < 0 and class_debts or debts)
  if kept then paid = tonumber(select(3, owner_of(previous)) or paid) end
  if paid > 0 then payload = string.sub(payload, 1, -16) .. string.format('%015.0f', paid) end
  redis.call('SET', job_prefix .. id, payload, 'PX', ttl_ms, 'NX')
  if previous ~= '' then
    redis.call('ZREM', queue, previous)
    redis.call('DEL', job_prefix .. previous)
  end
end
redis.call('PEXPIRE', finish_times, ttl_ms)
redis.call('PEXPIRE', gaps, ttl_ms)
wake_a_worker()
publish()
