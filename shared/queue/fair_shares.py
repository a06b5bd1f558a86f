"""Calls of fair_shares.lua, which scores dispatches so that each tenant gets its fair share. README.md describes it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.connections.redis import Redis
from shared.queue.dispatch import (
    ARQ_IN_PROGRESS_KEY_PREFIX,
    ARQ_JOB_KEY_PREFIX,
    ARQ_RETRY_KEY_PREFIX,
    PAYLOAD_TTL_MS,
    Dispatch,
    arq_payload,
)
from shared.schemas.states import TaskKind

SCRIPT = Path(__file__).with_name("fair_shares.lua").read_text(encoding="utf-8")
VIRTUAL_TIME_KEY = "headrace:virtual-time"  # sorted set: the virtual time of each queue
MIN_SCORE = 2  # the score before it is 1; arq reads a score of 0 as none
MAX_SCORE = 10**12  # arq reads it as due: in milliseconds it is the year 2001; in seconds of audio 30,000 years
MAX_IDLE_REMOVED = 100  # idle tenants that one call removes


def keys_of(queue: str) -> tuple[str, str, str, str]:
    """KEYS of the script."""
    return queue, VIRTUAL_TIME_KEY, f"headrace:tails:{queue}", f"headrace:rooms:{queue}"


def debts_key(queue: str) -> str:
    """The last of the script's KEYS: the debts of tenants."""
    return f"headrace:debts:{queue}"


def arguments_for(queue: str) -> list[str | int | bytes]:
    """ARGV of the script that all operations have."""
    return [
        f"headrace:line:{queue}:",
        PAYLOAD_TTL_MS,
        ARQ_JOB_KEY_PREFIX,
        ARQ_IN_PROGRESS_KEY_PREFIX,
        ARQ_RETRY_KEY_PREFIX,
        MIN_SCORE,
        MAX_SCORE,
        MAX_IDLE_REMOVED,
    ]


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


def rule_of(dispatch: Dispatch) -> str:
    """Return the rule that scores a dispatch: a row of the table in README.md.

    Every attempt to deliver or to fetch is charged, so that a server that is down does not delay others.
    """
    if dispatch.to_fetch:
        return TaskKind.DELIVER.value
    return "begun" if dispatch.has_begun and dispatch.kind is not TaskKind.DELIVER else dispatch.kind.value


async def call(redis: Redis, queue: str, operation: str, arguments: Sequence[str | int | bytes]) -> Any:
    """Call the script with an operation: `enqueue`, `correct` or `next`."""
    script = redis.register_script(SCRIPT)
    return await script(keys=(*keys_of(queue), debts_key(queue)), args=[operation, *arguments_for(queue), *arguments])


async def correct_cost(redis: Redis, queue: str, tenant: str, late_s: int) -> None:
    """Charge the tenant of a task for `late_s` seconds more than were guessed; less, if negative.

    All its waiting tasks are postponed by what it owes, each when its turn comes.
    """
    if late_s:
        await call(redis, queue, "correct", (tenant, late_s))


async def next_tasks(redis: Redis, queue: str, wanted: int, waiting: Sequence[bytes], *, is_all: bool) -> list[bytes]:
    """Return the tasks to start, at least `wanted` if there are so many, of those that wait, in the queue's order."""
    return list(await call(redis, queue, "next", (wanted, int(is_all), *waiting)))


async def advance_virtual_time(redis: Redis, queue: str, tag: int) -> None:
    """Advance virtual time to the score of a task that was taken. Scores beyond MAX_SCORE are not ours: ignored."""
    if tag <= MAX_SCORE:
        await redis.zadd(VIRTUAL_TIME_KEY, {queue: tag}, gt=True)
