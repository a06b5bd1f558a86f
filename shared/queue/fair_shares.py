"""Calls of fair_shares.lua, which scores dispatches so that each tenant gets its fair share. README.md describes it."""

from pathlib import Path

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

ENQUEUE_SCRIPT = Path(__file__).with_name("fair_shares.lua").read_text(encoding="utf-8")
VIRTUAL_TIME_KEY = "headrace:virtual-time"  # sorted set: the virtual time of each queue
MIN_SCORE = 2  # the score before it is 1; arq reads a score of 0 as none
MAX_SCORE = 10**12  # arq reads it as due: in milliseconds it is the year 2001; in seconds of audio 30,000 years
MAX_IDLE_REMOVED = 100  # idle tenants that one call removes


def keys_of(queue: str) -> tuple[str, str, str, str]:
    """KEYS of the script."""
    return queue, VIRTUAL_TIME_KEY, f"headrace:tails:{queue}", f"headrace:rooms:{queue}"


def arguments_for(queue: str) -> list[str | int | bytes]:
    """ARGV of the script that come before the dispatches."""
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


async def advance_virtual_time(redis: Redis, queue: str, tag: int) -> None:
    """Advance virtual time to the score of a task that was taken. Scores beyond MAX_SCORE are not ours: ignored."""
    if tag <= MAX_SCORE:
        await redis.zadd(VIRTUAL_TIME_KEY, {queue: tag}, gt=True)
