-- Adds dispatches to a queue; corrects a cost; finds the next tasks. The score of a task is its virtual start time.
-- README.md describes the algorithm; fair_queue.py is the same in Python.
--
-- ARGV: the operation, eight constants, and what the operation needs.
-- finish_times: of each tenant with tasks, its virtual finish time.
-- gaps: of each tenant, "<start> <left> <next>": where the gap that its chunks left starts, how many seconds of it are
--   left, and the virtual start time from which the next chunk may be postponed.
-- chunks: of one tenant, "<cost> <arq id>" of the chunks that may be postponed, by virtual start time.
-- debts: of each tenant, the seconds by which its tasks took longer than was guessed, in total. A task's payload ends with
--   "<tenant> <cost> <debt>": the debt that its score accounts for, in 15 digits.
local queue, clock, finish_times, gaps, debts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local chunks_prefix, ttl_ms, job_prefix, running_prefix, retry_prefix = unpack(ARGV, 2, 6)
local min_start, max_start, max_idle_removed = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])

local anyone_owes = redis.call('EXISTS', debts) == 1
local function debt_of(tenant)
  return anyone_owes and tonumber(redis.call('HGET', debts, tenant) or 0) or 0
end

local function owner_of(id)
  return string.match(redis.call('GETRANGE', job_prefix .. id, -110, -1), ' ([^ ]+) (%d+) (%d+)$')
end

-- Postpones a waiting task by what its tenant came to owe since it was scored. Returns its new score; nil: nothing.
local function pay_debt(id, score)
  if not anyone_owes then return nil end
  local tenant, cost, paid = owner_of(id)
  local owed = tenant and debt_of(tenant) - tonumber(paid) or 0
  if owed <= 0 then return nil end
  local start = math.min(max_start, score + owed)
  redis.call('ZADD', queue, start, id)
  redis.call('SETRANGE', job_prefix .. id, redis.call('STRLEN', job_prefix .. id) - 15, string.format('%015.0f', paid + owed))
  local chunk = cost .. ' ' .. id
  if redis.call('ZSCORE', chunks_prefix .. tenant, chunk) then
    redis.call('ZADD', chunks_prefix .. tenant, start, chunk)
  end
  return start
end

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

if ARGV[1] == 'next' then
  if not anyone_owes then return {unpack(ARGV, 12)} end
  return next_tasks(tonumber(ARGV[10]), ARGV[11] == '1', {unpack(ARGV, 12)})
end

local head = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2]
local now = tonumber(redis.call('ZSCORE', clock, queue) or head or min_start)
if not head then -- the queue is empty: all debts are cancelled
  now = math.max(now, tonumber(redis.call('ZREVRANGE', finish_times, 0, 0, 'WITHSCORES')[2] or min_start))
end
if now > max_start then -- virtual time is used up, or the head has a score that is not ours
  now = min_start
  redis.call('DEL', finish_times, gaps, debts)
end
redis.call('ZADD', clock, now, queue)

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
    if not redis.call('ZSCORE', queue, id) or redis.call('EXISTS', running_prefix .. id) == 1 then
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

local finish_before = {} -- of each tenant, before this batch: chunks of one file do not postpone each other
local function start_of(rule, tenant, cost, id)
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

if ARGV[1] == 'correct' then -- a task of the tenant took so much longer, or shorter, than was guessed
  local tenant, late = ARGV[10], tonumber(ARGV[11])
  redis.call('ZADD', finish_times, math.max(now, math.min(max_start, finish_time_of(tenant) + late)), tenant)
  if late > 0 then
    redis.call('HINCRBY', debts, tenant, string.format('%.0f', late))
    redis.call('PEXPIRE', debts, ttl_ms)
    redis.call('HDEL', gaps, tenant) -- its chunks are postponed
  end
  return
end

for at = 10, #ARGV, 6 do
  local id, previous, rule, tenant, cost, payload = unpack(ARGV, at, at + 5)
  local paid = debt_of(tenant)
  if not redis.call('ZSCORE', queue, id) then
    local kept = previous ~= '' and redis.call('ZSCORE', queue, previous)
    if kept then paid = tonumber(select(3, owner_of(previous)) or paid) end
    redis.call('ZADD', queue, kept or start_of(rule, tenant, tonumber(cost), id), id)
  end
  if paid > 0 then payload = string.sub(payload, 1, -16) .. string.format('%015.0f', paid) end
  redis.call('SET', job_prefix .. id, payload, 'PX', ttl_ms, 'NX')
  if previous ~= '' then
    redis.call('ZREM', queue, previous)
    redis.call('DEL', job_prefix .. previous, running_prefix .. previous, retry_prefix .. previous)
  end
end
redis.call('PEXPIRE', finish_times, ttl_ms)
redis.call('PEXPIRE', gaps, ttl_ms)
