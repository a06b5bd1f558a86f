-- Adds dispatches to a queue; corrects a cost; finds the next tasks; charges for a task that starts. The score of a task
-- is its virtual start time, minus `band` for interactive tasks. README.md describes the algorithm; fair_queue.py and
-- interactive_class.py are the same in Python.
--
-- ARGV: the operation, ten constants, and what the operation needs.
-- finish_times: of each tenant with tasks, its virtual finish time.
-- gaps: of each tenant, "<start> <left> <next>": where the gap that its chunks left starts, how many seconds of it are
--   left, and the virtual start time from which the next chunk may be postponed.
-- chunks: of one tenant, "<cost> <arq id>" of the chunks that may be postponed, by virtual start time.
-- debts: of each tenant, the seconds by which its tasks took longer than was guessed, in total. A task's payload ends with
--   "<tenant> <cost> <debt>": the debt that its score accounts for, in 15 digits.
-- class_finish_times, class_debts: the same of the interactive class, which has its own virtual time.
-- uses: of each tenant, the virtual finish time of the interactive tasks that it started.
-- credit: the seconds of audio that the class may start before tasks of the backlog; absent: all of `ahead`.
local queue, clock, finish_times, gaps, debts, class_finish_times, class_debts, uses, credit = unpack(KEYS)
local chunks_prefix, ttl_ms, job_prefix, running_prefix, retry_prefix = unpack(ARGV, 2, 6)
local min_start, max_start, max_idle_removed = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local ahead, max_looked_at = tonumber(ARGV[10]), tonumber(ARGV[11])
local band = 2 * max_start
local class_clock = queue .. ':interactive'
local page = 100

local owing = {[debts] = redis.call('EXISTS', debts) == 1}
local function debt_of(tenant, of_class)
  if owing[of_class] == nil then owing[of_class] = redis.call('EXISTS', of_class) == 1 end
  return owing[of_class] and tonumber(redis.call('HGET', of_class, tenant) or 0) or 0
end

local function owner_of(id)
  return string.match(redis.call('GETRANGE', job_prefix .. id, -110, -1), ' ([^ ]+) (%d+) (%d+)$')
end

-- Postpones a waiting task by what its tenant came to owe since it was scored. Returns its new score; nil: nothing.
local function pay_debt(id, score)
  local of_class = score < 0 and class_debts or debts
  if owing[of_class] == false then return nil end
  local tenant, cost, paid = owner_of(id)
  local owed = tenant and debt_of(tenant, of_class) - tonumber(paid) or 0
  if owed <= 0 then return nil end
  local start = math.min(score < 0 and max_start - band or max_start, score + owed)
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

local head = redis.call('ZRANGEBYSCORE', queue, 0, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
local now = tonumber(redis.call('ZSCORE', clock, queue) or head or min_start)
if not head then -- the queue is empty: all debts are cancelled
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

local class_now = nil -- the virtual time of the interactive class, when it is needed
local function set_class_now()
  class_now = tonumber(redis.call('ZSCORE', clock, class_clock) or min_start)
  if redis.call('ZCOUNT', queue, '-inf', '(0') == 0 then -- no task of the class is left: all its debts are cancelled
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

if ARGV[1] == 'correct' and ARGV[14] == '1' then -- the same of an interactive task
  local tenant, late = ARGV[12], tonumber(ARGV[13])
  set_class_now()
  local finish = math.max(class_now, math.min(max_start, class_finish_time_of(tenant) + late))
  redis.call('ZADD', class_finish_times, finish, tenant)
  redis.call('PEXPIRE', class_finish_times, ttl_ms)
  if late > 0 then
    redis.call('HINCRBY', class_debts, tenant, string.format('%.0f', late))
    redis.call('PEXPIRE', class_debts, ttl_ms)
  end
  if backlog(1)[1] then charge_interactive(tenant, late) end
  return
end

if ARGV[1] == 'correct' then -- a task of the tenant took so much longer, or shorter, than was guessed
  local tenant, late = ARGV[12], tonumber(ARGV[13])
  redis.call('ZADD', finish_times, math.max(now, math.min(max_start, finish_time_of(tenant) + late)), tenant)
  if late > 0 then
    redis.call('HINCRBY', debts, tenant, string.format('%.0f', late))
    redis.call('PEXPIRE', debts, ttl_ms)
    redis.call('HDEL', gaps, tenant) -- its chunks are postponed
  end
  return
end

for at = 12, #ARGV, 6 do
  local id, previous, rule, tenant, cost, payload = unpack(ARGV, at, at + 5)
  local score = redis.call('ZSCORE', queue, id)
  local kept = not score and previous ~= '' and redis.call('ZSCORE', queue, previous)
  if not score then
    score = kept or start_of(rule, tenant, tonumber(cost), id)
    redis.call('ZADD', queue, score, id)
  end
  local paid = debt_of(tenant, tonumber(score) < 0 and class_debts or debts)
  if kept then paid = tonumber(select(3, owner_of(previous)) or paid) end
  if paid > 0 then payload = string.sub(payload, 1, -16) .. string.format('%015.0f', paid) end
  redis.call('SET', job_prefix .. id, payload, 'PX', ttl_ms, 'NX')
  if previous ~= '' then
    redis.call('ZREM', queue, previous)
    redis.call('DEL', job_prefix .. previous, running_prefix .. previous, retry_prefix .. previous)
  end
end
redis.call('PEXPIRE', finish_times, ttl_ms)
redis.call('PEXPIRE', gaps, ttl_ms)
