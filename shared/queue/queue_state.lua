-- The state of a queue, for the script's other two parts. The score of a task is its virtual start time, minus `band` for
-- interactive tasks. README.md describes the algorithm; fair_queue.py and interactive_class.py are the same in Python.
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
