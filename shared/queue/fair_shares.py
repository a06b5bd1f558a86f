"""Fair shares of the queue: a task's score is its start tag in virtual time, and arq takes the lowest score first.

Start-time fair queuing (Goyal, Vin, Cheng 1996) over tenants: tag = max(virtual time, end of the tenant's line), and
the line grows by the task's cost. Virtual time is the tag of the task that was taken last. All of it lives in Redis and
may be lost at any moment: the shares then begin anew.

Within a tenant, what comes while chunks of a long file wait goes in between, at every other place: the chunk that had
the place goes to the end of the tenant's line. So a short job waits for one chunk and not for sixty, the long file
still gets half of what its tenant gets, and other tenants notice nothing.
"""

from typing import Any, Protocol

from shared.queue.dispatch import (
    ARQ_IN_PROGRESS_KEY_PREFIX,
    ARQ_JOB_KEY_PREFIX,
    ARQ_RETRY_KEY_PREFIX,
    PAYLOAD_TTL_MS,
    Dispatch,
    arq_payload,
)
from shared.schemas.states import TaskKind

VIRTUAL_TIME_KEY = "headrace:virtual-time"  # sorted set: of each queue the virtual time
FIRST_TAG = 2  # what goes before it has 1: arq takes a score of 0 for none
LAST_TAG = 10**12  # a score that arq takes for due: as milliseconds it is the year 2001; as audio 30,000 years
FORGET_AT_ONCE = 100  # idle tenants, at each ring

# A tenant's state, all of it gone once virtual time has passed the end of its line:
# - tails: where its line ends.
# - rooms: what was given up by chunks for others to go into: where it starts, how much is left, from where on the next
#   chunk may be asked to leave.
# - line: its chunks that can be moved, "<cost> <arq id>", by tag.
PUT_IN_ORDER = """
local queue, clock, tails, rooms = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local line_prefix, ttl_ms, job_prefix, running_prefix, retry_prefix = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local first_tag, last_tag, forget_at_once = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local head = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')[2]
local now = tonumber(redis.call('ZSCORE', clock, queue) or head or first_tag)
if not head then -- idle: nobody owes anybody anything
  now = math.max(now, tonumber(redis.call('ZREVRANGE', tails, 0, 0, 'WITHSCORES')[2] or first_tag))
end
if now > last_tag then -- time has run out, or the head is not one of ours
  now = first_tag
  redis.call('DEL', tails, rooms)
end
redis.call('ZADD', clock, now, queue)

for _, tenant in ipairs(redis.call('ZRANGEBYSCORE', tails, '-inf', now, 'LIMIT', 0, forget_at_once)) do
  redis.call('ZREM', tails, tenant)
  redis.call('HDEL', rooms, tenant)
  redis.call('DEL', line_prefix .. tenant)
end

local function tail_of(tenant)
  return math.min(last_tag, math.max(now, tonumber(redis.call('ZSCORE', tails, tenant) or now)))
end

local function append(tenant, cost)
  local tag = tail_of(tenant)
  redis.call('ZADD', tails, tag + cost, tenant)
  return tag
end

local function append_chunk(tenant, cost, id)
  local tag = append(tenant, cost)
  redis.call('ZADD', line_prefix .. tenant, tag, cost .. ' ' .. id)
  redis.call('PEXPIRE', line_prefix .. tenant, ttl_ms)
  return tag
end

-- The tenant's first chunk that waits at a tag within the bounds.
local function first_chunk(tenant, from, until_tag)
  local line = line_prefix .. tenant
  while true do
    local member, tag = unpack(redis.call('ZRANGEBYSCORE', line, from, until_tag, 'WITHSCORES', 'LIMIT', 0, 1))
    if not member then return nil end
    local cost, id = string.match(member, '^(%d+) (.*)$')
    if redis.call('ZSCORE', queue, id) and redis.call('EXISTS', running_prefix .. id) == 0 then
      return {member = member, id = id, cost = tonumber(cost), tag = tonumber(tag)}
    end
    redis.call('ZREM', line, member)
  end
end

-- A place among the tenant's waiting chunks, for which as many of them go to the end of the line as it costs.
-- Nil when they are too few.
local function go_between(tenant, cost, until_tag)
  local start, left, from = string.match(redis.call('HGET', rooms, tenant) or '', '^(%S+) (%S+) (%S+)$')
  start, left, from = math.max(now, tonumber(start or now)), tonumber(left or 0), math.max(now, tonumber(from or now))
  local leaving, next_start = {}, start + cost
  while left < cost do
    local chunk = first_chunk(tenant, from, until_tag)
    if not chunk then return nil end
    if left == 0 then -- the first: a short one may begin earlier than the chunk would have; it ends no later
      start = math.max(start, chunk.tag - math.max(0, chunk.cost - cost))
    end
    left, from = left + chunk.cost, chunk.tag + 2 * chunk.cost
    next_start = chunk.tag + chunk.cost - left + cost
    table.insert(leaving, chunk)
  end
  for _, chunk in ipairs(leaving) do
    redis.call('ZREM', line_prefix .. tenant, chunk.member)
    redis.call('ZADD', queue, append_chunk(tenant, chunk.cost, chunk.id), chunk.id)
  end
  redis.call('HSET', rooms, tenant, string.format('%.0f %.0f %.0f', next_start, left - cost, from))
  return start
end

local before = {} -- where the lines ended: a file's chunks do not make room for each other
local function tag_for(way, tenant, cost, id)
  if way == 'begun' then return now - 1 end
  if way == 'deliver' then return append(tenant, cost) end
  if way == 'finish' then -- its file has waited enough: at once, and its tenant's next task pays
    redis.call('ZADD', tails, tail_of(tenant) + cost, tenant)
    return now - 1
  end
  if way == 'prepare' then return go_between(tenant, cost, '+inf') or append(tenant, cost) end
  before[tenant] = before[tenant] or tail_of(tenant)
  return go_between(tenant, cost, '(' .. before[tenant]) or append_chunk(tenant, cost, id)
end

for at = 9, #ARGV, 6 do
  local id, previous, way, tenant, cost, payload = unpack(ARGV, at, at + 5)
  if not redis.call('ZSCORE', queue, id) then
    local kept = previous ~= '' and redis.call('ZSCORE', queue, previous)
    redis.call('ZADD', queue, kept or tag_for(way, tenant, tonumber(cost), id), id)
  end
  redis.call('SET', job_prefix .. id, payload, 'PX', ttl_ms, 'NX')
  if previous ~= '' then
    redis.call('ZREM', queue, previous)
    redis.call('DEL', job_prefix .. previous, running_prefix .. previous, retry_prefix .. previous)
  end
end
redis.call('PEXPIRE', tails, ttl_ms)
redis.call('PEXPIRE', rooms, ttl_ms)
"""


class VirtualTime(Protocol):
    """The part of `redis.asyncio.Redis` that noting what was taken needs."""

    def zadd(self, name: str, mapping: dict[str, int], *, gt: bool = False) -> Any: ...


def keys_of(queue: str) -> tuple[str, str, str, str]:
    """KEYS of PUT_IN_ORDER."""
    return queue, VIRTUAL_TIME_KEY, f"headrace:tails:{queue}", f"headrace:rooms:{queue}"


def arguments_for(queue: str) -> list[str | int | bytes]:
    """ARGV of PUT_IN_ORDER but for the dispatches."""
    return [
        f"headrace:line:{queue}:",
        PAYLOAD_TTL_MS,
        ARQ_JOB_KEY_PREFIX,
        ARQ_IN_PROGRESS_KEY_PREFIX,
        ARQ_RETRY_KEY_PREFIX,
        FIRST_TAG,
        LAST_TAG,
        FORGET_AT_ONCE,
    ]


def arguments_of(dispatch: Dispatch, *, enqueued_at_ms: int) -> tuple[str | int | bytes, ...]:
    """What PUT_IN_ORDER is told of a dispatch."""
    return (
        dispatch.arq_id,
        dispatch.previous.arq_id if dispatch.dispatch_no > 1 else "",
        way_of(dispatch),
        dispatch.tenant,
        dispatch.cost_s,
        arq_payload(dispatch, enqueued_at_ms=enqueued_at_ms),
    )


def way_of(dispatch: Dispatch) -> str:
    """How a dispatch gets its place. What had begun has paid: it goes on as soon as there is a slot.

    Each attempt to deliver is paid for: endpoints that are down must not stand before those that are not.
    """
    return "begun" if dispatch.has_begun and dispatch.kind is not TaskKind.DELIVER else dispatch.kind.value


async def note_taken(redis: VirtualTime, queue: str, tag: int) -> None:
    """Let virtual time reach the tag of a task that was taken; it never goes back. Scores of others are ignored."""
    if tag <= LAST_TAG:
        await redis.zadd(VIRTUAL_TIME_KEY, {queue: tag}, gt=True)
