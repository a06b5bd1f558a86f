"""Calls of fair_shares.lua, which scores dispatches so that each tenant gets its fair share. README.md describes it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from shared.connections.redis import Redis
from shared.job_hints import messages_of, tenant_channel_of
from shared.queue.dispatch import (
    ARQ_JOB_KEY_PREFIX,
    COMPUTE_QUEUE,
    DELIVERY_QUEUE,
    FETCH_QUEUE,
    PAYLOAD_TTL_MS,
    SUMMARY_QUEUE,
    Dispatch,
    arq_payload,
    is_compute_queue,
)
from shared.schemas.states import TaskKind

VIRTUAL_TIME_KEY = "headrace:virtual-time"  # sorted set: the virtual time of each queue
CHUNKS_PREFIX = "headrace:line:"  # followed by a queue and a tenant
MIN_SCORE = 2  # the score before it is 1; arq reads a score of 0 as none
MAX_SCORE = 10**12  # arq reads it as due: in milliseconds it is the year 2001; in seconds of audio 30,000 years
MAX_IDLE_REMOVED = 100  # idle tenants that one call removes
BAND = 2 * MAX_SCORE  # subtracted from the virtual start times of interactive tasks
INTERACTIVE_AHEAD_S = 600  # by which the class, and each tenant in it, may be ahead of its share: about one chunk
INTERACTIVE_SHARE = 0.5  # of the seconds of audio that start while other tasks wait; the default of the setting
MAX_LOOKED_AT = 100  # the first interactive tasks, among which one is looked for that may go first
MAX_POSTPONED = 1000  # tasks of tenants that owe, in one call: Redis serves nothing else meanwhile
TAKEN_MS = 60_000  # the time for which a taken task is marked; its worker claims it within milliseconds

CONSTANTS: dict[str, int | str] = {
    "min_start": MIN_SCORE,
    "max_start": MAX_SCORE,
    "max_idle_removed": MAX_IDLE_REMOVED,
    "ahead": INTERACTIVE_AHEAD_S,
    "max_looked_at": MAX_LOOKED_AT,
    "max_postponed": MAX_POSTPONED,
    "taken_ms": TAKEN_MS,
    "ttl_ms": PAYLOAD_TTL_MS,
    "job_prefix": ARQ_JOB_KEY_PREFIX,
    "chunks_prefix_of": CHUNKS_PREFIX,
}
PARTS = ("queue_state.lua", "take_tasks.lua", "fair_shares.lua")  # of one script, in this order
SCRIPT = "\n".join(
    (
        *(f"local {name} = {value!r}" for name, value in CONSTANTS.items()),
        *(Path(__file__).with_name(part).read_text(encoding="utf-8") for part in PARTS),
    )
)


def keys_of(queue: str) -> tuple[str, ...]:
    """The KEYS of the script, as queue_state.lua names them."""
    return (
        queue,
        VIRTUAL_TIME_KEY,
        f"headrace:tails:{queue}",
        f"headrace:rooms:{queue}",
        f"headrace:debts:{queue}",
        f"headrace:tails:{queue}:interactive",
        f"headrace:debts:{queue}:interactive",
        f"headrace:interactive-uses:{queue}",
        f"headrace:interactive-credit:{queue}",
        taken_key(queue),
        wake_key(queue),
    )


def taken_key(queue: str) -> str:
    """The sorted set of the tasks that workers took lately, by the time of Redis in milliseconds."""
    return f"headrace:taken:{queue}"


def wake_key(queue: str) -> str:
    """The list on which a worker without tasks blocks. It has an element while tasks may wait."""
    return f"headrace:wake:{queue}"


def arguments_of(dispatch: Dispatch, *, enqueued_at_ms: int) -> tuple[str | int | bytes, ...]:
    """ARGV of the script for one dispatch."""
    return (
        dispatch.arq_id,
        dispatch.previous.arq_id if dispatch.dispatch_no > 1 else "",
        rule_of(dispatch),
        dispatch.tenant,
        dispatch.cost_s,
        arq_payload(dispatch, enqueued_at_ms=enqueued_at_ms),
    )


def new_jobs_of(dispatches: Iterable[Dispatch]) -> list[str | bytes]:
    """Return channels and messages in turn: of each tenant that has new jobs, whose first dispatches these are."""
    new = (one for one in dispatches if one.kind is TaskKind.PREPARE and one.dispatch_no == 1)
    return [part for tenant in {one.tenant for one in new} for part in (tenant_channel_of(tenant), b"")]


def rule_of(dispatch: Dispatch) -> str:
    """Return the rule that scores a dispatch: a row of the table in README.md.

    Every attempt to deliver, to fetch or to summarize is charged, so that a server that is down delays no others.
    """
    if dispatch.to_fetch or dispatch.kind is TaskKind.SUMMARIZE:
        return TaskKind.DELIVER.value
    rule = "begun" if dispatch.has_begun and dispatch.kind is not TaskKind.DELIVER else dispatch.kind.value
    return f"interactive {rule}" if is_interactive(dispatch) else rule


def is_interactive(dispatch: Dispatch) -> bool:
    """Return whether a dispatch belongs to the interactive class. Fetches and deliveries do not."""
    return dispatch.interactive and is_compute_queue(dispatch.queue)


def credit_rate(share: float) -> float:
    """Return the interactive seconds for each second of the backlog, so that their share of both is `share`."""
    return share / (1 - share)


async def call(
    redis: Redis,
    queue: str,
    operation: str,
    arguments: Sequence[str | int | bytes],
    *,
    messages: Sequence[str | bytes] = (),
) -> Any:
    """Call the script with an operation: `enqueue`, `correct` or `take`.

    `messages`: channels and messages in turn, which it publishes at its end: they cost no request of their own.
    """
    arguments = [operation, len(messages), *messages, *arguments]
    return await redis.register_script(SCRIPT)(keys=keys_of(queue), args=arguments)


async def correct_cost(  # noqa: PLR0913 - what one call of the script does
    redis: Redis,
    queue: str,
    tenant: str,
    late_s: int,
    *,
    interactive: bool = False,
    changed: Mapping[UUID, str] = {},
) -> None:
    """Charge the tenant of a task for `late_s` seconds more than were guessed; less, if negative.

    All its waiting tasks are postponed by what it owes, each when its turn comes. `changed`: the jobs of which to
    publish that they have changed, with their tenants.
    """
    if late_s or changed:
        await call(redis, queue, "correct", (tenant, late_s, int(interactive)), messages=messages_of(changed))


async def queues_in_use(redis: Redis) -> list[str]:
    """Return the queues that hold, or have held, tasks: always those without a name."""
    clocks = {one.decode() for one in await redis.zrange(VIRTUAL_TIME_KEY, 0, -1)}
    named = {one for one in clocks if is_compute_queue(one)} - {COMPUTE_QUEUE}
    summaries = [SUMMARY_QUEUE] if SUMMARY_QUEUE in clocks else []
    return [COMPUTE_QUEUE, DELIVERY_QUEUE, FETCH_QUEUE, *summaries, *sorted(named)]


class Waiting(NamedTuple):
    """What waits in a queue."""

    tasks: int
    interactive: int  # of these
    tenants: int  # with tasks


async def look(redis: Redis, queues: Sequence[str]) -> list[Waiting]:
    """Return what waits in each queue, in one round trip."""
    pipe = redis.pipeline(transaction=False)
    for queue in queues:
        pipe.zcard(queue)
        pipe.zcount(queue, "-inf", "(0")
        pipe.zcard(keys_of(queue)[2])
    counts = iter(await pipe.execute())
    return [Waiting(*of_queue) for of_queue in zip(counts, counts, counts, strict=True)]


async def take(redis: Redis, queue: str, wanted: int, *, share: float = INTERACTIVE_SHARE) -> list[str]:
    """Remove the next tasks from a queue, at most `wanted`. Return their arq ids in the order in which to start them.

    Interactive tasks go first while they are within their `share`. A task is marked as taken until PostgreSQL knows who
    runs it. Fewer tasks than wanted: no more wait, or the list at `wake_key` has an element.
    """
    return [one.decode() for one in await call(redis, queue, "take", (wanted, repr(credit_rate(share))))]
