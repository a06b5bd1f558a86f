"""Calls of fair_shares.lua, which scores dispatches so that each tenant gets its fair share. README.md describes it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.connections.redis import Redis
from shared.job_hints import tenant_channel_of
from shared.queue.dispatch import (
    ARQ_IN_PROGRESS_KEY_PREFIX,
    ARQ_JOB_KEY_PREFIX,
    ARQ_RETRY_KEY_PREFIX,
    COMPUTE_QUEUE,
    PAYLOAD_TTL_MS,
    Dispatch,
    arq_payload,
)
from shared.schemas.states import TaskKind

PARTS = ("queue_state.lua", "take_tasks.lua", "fair_shares.lua")  # of one script, in this order
SCRIPT = "\n".join(Path(__file__).with_name(part).read_text(encoding="utf-8") for part in PARTS)
VIRTUAL_TIME_KEY = "headrace:virtual-time"  # sorted set: the virtual time of each queue
MIN_SCORE = 2  # the score before it is 1; arq reads a score of 0 as none
MAX_SCORE = 10**12  # arq reads it as due: in milliseconds it is the year 2001; in seconds of audio 30,000 years
MAX_IDLE_REMOVED = 100  # idle tenants that one call removes
BAND = 2 * MAX_SCORE  # subtracted from the virtual start times of interactive tasks
INTERACTIVE_AHEAD_S = 600  # by which the class, and each tenant in it, may be ahead of its share: about one chunk
INTERACTIVE_SHARE = 0.5  # of the seconds of audio that start while other tasks wait; the default of the setting
MAX_LOOKED_AT = 100  # the first interactive tasks, among which one is looked for that may go first


def keys_of(queue: str) -> tuple[str, str, str, str]:
    """The first KEYS of the script."""
    return queue, VIRTUAL_TIME_KEY, f"headrace:tails:{queue}", f"headrace:rooms:{queue}"


def debts_key(queue: str) -> str:
    """The next of the script's KEYS: the debts of tenants."""
    return f"headrace:debts:{queue}"


def interactive_keys_of(queue: str) -> tuple[str, str, str, str]:
    """The last KEYS of the script: those of the interactive class."""
    return (
        f"headrace:tails:{queue}:interactive",
        f"headrace:debts:{queue}:interactive",
        f"headrace:interactive-uses:{queue}",
        f"headrace:interactive-credit:{queue}",
    )


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
        INTERACTIVE_AHEAD_S,
        MAX_LOOKED_AT,
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
        tenant_channel_of(dispatch.tenant) if is_of_new_job(dispatch) else "",
    )


def is_of_new_job(dispatch: Dispatch) -> bool:
    """Return whether a dispatch is the first of a job. The script then publishes that the tenant has new jobs."""
    return dispatch.kind is TaskKind.PREPARE and dispatch.dispatch_no == 1


def rule_of(dispatch: Dispatch) -> str:
    """Return the rule that scores a dispatch: a row of the table in README.md.

    Every attempt to deliver or to fetch is charged, so that a server that is down does not delay others.
    """
    if dispatch.to_fetch:
        return TaskKind.DELIVER.value
    rule = "begun" if dispatch.has_begun and dispatch.kind is not TaskKind.DELIVER else dispatch.kind.value
    return f"interactive {rule}" if is_interactive(dispatch) else rule


def is_interactive(dispatch: Dispatch) -> bool:
    """Return whether a dispatch belongs to the interactive class. Fetches and deliveries do not."""
    return dispatch.interactive and dispatch.queue == COMPUTE_QUEUE


def credit_rate(share: float) -> float:
    """Return the interactive seconds for each second of the backlog, so that their share of both is `share`."""
    return share / (1 - share)


async def call(redis: Redis, queue: str, operation: str, arguments: Sequence[str | int | bytes]) -> Any:
    """Call the script with an operation: `enqueue`, `correct`, `next` or `start`."""
    script = redis.register_script(SCRIPT)
    keys = (*keys_of(queue), debts_key(queue), *interactive_keys_of(queue))
    return await script(keys=keys, args=[operation, *arguments_for(queue), *arguments])


async def correct_cost(redis: Redis, queue: str, tenant: str, late_s: int, *, interactive: bool = False) -> None:
    """Charge the tenant of a task for `late_s` seconds more than were guessed; less, if negative.

    All its waiting tasks are postponed by what it owes, each when its turn comes.
    """
    if late_s:
        await call(redis, queue, "correct", (tenant, late_s, int(interactive)))


async def next_tasks(  # noqa: PLR0913 - what a worker knows
    redis: Redis, queue: str, wanted: int, waiting: Sequence[bytes], *, is_all: bool, share: float = INTERACTIVE_SHARE
) -> list[bytes]:
    """Return the tasks to start, at least `wanted` if there are so many, of those that wait, in the queue's order.

    Interactive tasks go first while they are within their `share`. The result may hold tasks that are not in `waiting`.
    """
    return list(await call(redis, queue, "next", (wanted, int(is_all), repr(credit_rate(share)), *waiting)))


async def record_start(redis: Redis, queue: str, arq_id: str, score: int, *, share: float = INTERACTIVE_SHARE) -> None:
    """Advance virtual time to the score of a task that was taken, and charge an interactive one.

    Scores beyond MAX_SCORE are not ours: ignored.
    """
    await call(redis, queue, "start", (arq_id, score, repr(credit_rate(share))))
