-- Adds dispatches to a queue. The score of each is its virtual start time. README.md describes the algorithm;
-- fair_queue.py is the same in Python.
--
-- finish_times: of each tenant with tasks, its virtual finish time.
-- gaps: of each tenant, "<start> <left> <next>": where the gap that its chunks left starts, how many seconds of it are
--   left, and the virtual start time from which the next chunk may be postponed.
-- chunks: of one tenant, "<cost> <arq id>" of the chunks that may be postponed, by virtual start time.
local queue, clock, finish_times, gaps = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local chunks_prefix, ttl_ms, job_prefix, running_prefix, retry_prefix = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local min_start, max_start, max_idle_removed = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local head = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2]
local now = tonumber(redis.call('ZSCORE', clock, queue) or head or min_start)
if not head then -- the queue is empty: all debts are cancelled
  now = math.max(now, tonumber(redis.call('ZREVRANGE', finish_times, 0, 0, 'WITHSCORES')[2] or min_start))
end
if now > max_start then -- virtual time is used up, or the head has a score that is not ours
  now = min_start
  redis.call('DEL', finish_times, gaps)
end
redis.call('ZADD', clock, now, queue)

local idle = redis.call('ZRANGEBYSCORE', finish_times, '-inf', now, 'LIMIT', 0, max_idle_removed)
for _, tenant in ipairs(idle) do
  redis.call('ZREM', finish_times, tenant)
  redis.call('HDEL', gaps, tenant)
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
    if redis.call('ZSCORE', queue, id) and redis.call('EXISTS', running_prefix .. id) == 0 then
      return {member = member, id = id, cost = tonumber(cost), start = tonumber(start)}
    end
    redis.call('ZREM', chunks, member)
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

for at = 9, #ARGV, 6 do
  local id, previous, rule, tenant, cost, payload = unpack(ARGV, at, at + 5)
  if not redis.call('ZSCORE', queue, id) then
    local kept = previous ~= '' and redis.call('ZSCORE', queue, previous)
    redis.call('ZADD', queue, kept or start_of(rule, tenant, tonumber(cost), id), id)
  end
  redis.call('SET', job_prefix .. id, payload, 'PX', ttl_ms, 'NX')
  if previous ~= '' then
    redis.call('ZREM', queue, previous)
    redis.call('DEL', job_prefix .. previous, running_prefix .. previous, retry_prefix .. previous)
  end
end
redis.call('PEXPIRE', finish_times, ttl_ms)
redis.call('PEXPIRE', gaps, ttl_ms)
