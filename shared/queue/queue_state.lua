-- The state of a queue, for the script's other two parts. The score of a task is its virtual start time, minus `band` for
-- interactive tasks. README.md describes the algorithm; fair_queue.py and interactive_class.py are the same in Python.
--
-- ARGV: the operation, the number of arguments that are channels and messages, these, and what the operation needs.
-- fair_shares.py defines the constants, as locals before this part.
-- queue: what waits. A task that a worker has taken is not there any more.
-- finish_times: of each tenant with tasks, its virtual finish time.
-- gaps: of each tenant, "<start> <left> <next>": where the gap that its chunks left starts, how many seconds of it are
--   left, and the virtual start time from which the next chunk may be postponed.
-- chunks: of one tenant, "<cost> <arq id>" of the chunks that may be postponed, by virtual start time.
-- debts: of each tenant, the seconds by which its tasks took longer than was guessed, in total. A task's payload ends with
--   "<tenant> <cost> <debt>": the debt that its score accounts for, in 15 digits.
-- class_finish_times, class_debts: the same of the interactive class, which has its own virtual time.
-- uses: of each tenant, the virtual finish time of the interactive tasks that it started.
-- credit: the seconds of audio that the class may start before tasks of the backlog; absent: all of `ahead`.
-- taken: the tasks that workers took within `taken_ms`, by the time of Redis in milliseconds.
-- wake: a list with one element while tasks may wait that no worker looks for. A worker without tasks blocks on it.
local queue, clock, finish_times, gaps, debts, class_finish_times, class_debts, uses, credit, taken, wake = unpack(KEYS)
local chunks_prefix = chunks_prefix_of .. queue .. ':'
local band = 2 * max_start
local first = 3 + tonumber(ARGV[2]) -- the first argument of the operation
local class_clock = queue .. ':interactive'

local owing = {} -- whether any tenant owes, by key
local function debt_of(tenant, of_class)
  if owing[of_class] == nil then owing[of_class] = redis.call('EXISTS', of_class) == 1 end
  return owing[of_class] and tonumber(redis.call('HGET', of_class, tenant) or 0) or 0
end

local function add_debt(tenant, of_class, seconds)
  redis.call('HINCRBY', of_class, tenant, string.format('%.0f', seconds))
  redis.call('PEXPIRE', of_class, ttl_ms)
  owing[of_class] = true
end

local function owner_of(id)
  return string.match(redis.call('GETRANGE', job_prefix .. id, -110, -1), ' ([^ ]+) (%d+) (%d+)$')
end

-- Postpones a waiting task by what its tenant came to owe since it was scored. Returns whether it did.
local function pay_debt(id, score)
  local of_class = score < 0 and class_debts or debts
  if owing[of_class] == nil then debt_of('', of_class) end
  if not owing[of_class] then return false end
  local tenant, cost, paid = owner_of(id)
  local owed = tenant and debt_of(tenant, of_class) - tonumber(paid) or 0
  if owed <= 0 then return false end
  local start = math.min(score < 0 and max_start - band or max_start, score + owed)
  redis.call('ZADD', queue, start, id)
  redis.call('SETRANGE', job_prefix .. id, redis.call('STRLEN', job_prefix .. id) - 15, string.format('%015.0f', paid + owed))
  local chunk = cost .. ' ' .. id
  if redis.call('ZSCORE', chunks_prefix .. tenant, chunk) then
    redis.call('ZADD', chunks_prefix .. tenant, start, chunk)
  end
  return true
end

local function virtual_time()
  return tonumber(redis.call('ZSCORE', clock, queue) or min_start)
end

local function use_of(tenant)
  return tonumber(redis.call('ZSCORE', uses, tenant) or 0)
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
    add_debt(tenant, debts, seconds)
    redis.call('HDEL', gaps, tenant)
  end
end

local function wake_a_worker()
  if redis.call('EXISTS', wake) == 0 then redis.call('RPUSH', wake, '1') end
end

local function publish()
  for at = 3, first - 1, 2 do redis.call('PUBLISH', ARGV[at], ARGV[at + 1]) end
end
