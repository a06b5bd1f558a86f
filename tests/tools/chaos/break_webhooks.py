"""Runs with faulty webhook endpoints, and with duplicate dispatches and deliveries."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterable

from shared.queue.dispatch import Dispatch
from shared.schemas.states import TaskKind
from tests.tools.chaos.load import Attempt
from tests.tools.chaos.run import Run
from tests.tools.chaos.waiting import until

WARMING_JOBS = 8
ROUNDS = 2
JITTER = 0.1
SLACK_S = 1.5  # maintenance polls every 0.5 s; the endpoint's own time; a busy machine
RETRY_AFTER_S = 2
INTERNAL = (
    "http://169.254.169.254/latest",
    "http://[::ffff:10.1.2.3]/",
    "http://10.0.0.1/",
    "http://[64:ff9b::a00:1]/",
)
THROTTLED = f"throttle/1/{RETRY_AFTER_S}"
BEHAVIOURS = ("fail/2", THROTTLED, "lost/1", "huge", "endless", "redirect", "gone", "hang")
HANGING_HOST = "127.0.0.3"
ENDED = "SELECT max(completed_at) - min(created_at) FROM jobs WHERE id = ANY($1::uuid[])"
DELIVERIES = """
SELECT t.job_id::text, t.state, t.attempts, t.failure ->> 'code' AS code FROM tasks t WHERE kind = 'deliver'
"""
DELIVERED = "SELECT bool_and(state IN ('done', 'dead')) FROM tasks WHERE job_id = $1::uuid AND kind = 'deliver'"
QUEUED_TASKS = """
SELECT id, dispatch_no, kind FROM tasks WHERE job_id = ANY($1::uuid[]) AND state IN ('dispatched', 'running')
"""


async def c10_bad_endpoints(run: Run) -> None:
    """Endpoints fail, throttle, hang, answer endlessly, redirect, or have an internal address."""
    attempts_in_all = len(run.profile.webhook_waits_s) + 1
    sent = {
        behaviour: await run.load.attempt(run.world.short, webhook=behaviour, never_accepted=behaviour in INTERNAL)
        for behaviour in (*BEHAVIOURS, *INTERNAL)
    }
    run.fault("bad endpoints")
    await _wait_until_delivered(run, sent["hang"])
    await _measure_throughput(run)
    await run.judge()
    waits_s = run.profile.webhook_waits_s
    _hold_schedule(run, sent["fail/2"], waits_s[:2])
    _hold_schedule(run, sent[THROTTLED], (RETRY_AFTER_S,))
    _hold_schedule(run, sent["redirect"], waits_s)
    _hold_schedule(run, sent["hang"], waits_s, answer_s=run.profile.webhook_timeout_s)
    _hold_schedule(run, sent["gone"], ())
    deliveries = {row["job_id"]: row for row in await run.world.record.fetch(DELIVERIES)}
    expected = {
        "fail/2": ("done", 2, None),
        "lost/1": ("done", 1, None),
        "huge": ("done", 0, None),
        "endless": ("done", 0, None),
        "redirect": ("dead", attempts_in_all, "webhook_refused"),
        "gone": ("dead", 1, "webhook_refused"),
        "hang": ("dead", attempts_in_all, "webhook_refused"),
    } | dict.fromkeys(INTERNAL, ("dead", 1, "webhook_blocked"))
    for behaviour, outcome in expected.items():
        _expect_outcome(run, behaviour, outcome, deliveries.get(str(sent[behaviour].job_id)))
    run.figures["internal_hits"] = run.world.receiver.trapped


async def c14_everything_twice(run: Run) -> None:
    """Enqueue every dispatch three times, and lose the first answer of every webhook."""
    async with (
        _enqueueing_three_times(run) as enqueued,
        run.feeding(lambda: run.load.attempt(run.world.long, webhook="lost/1")),
    ):
        await until(lambda: len(run.load.accepted) >= run.profile.jobs, within_s=run.profile.quiet_within_s)
    run.fault("dispatches enqueued three times")
    run.figures["dispatches_enqueued_three_times"] = len(enqueued)
    await run.judge()
    ours = {attempt.job_id for attempt in run.load.accepted}
    receipts = Counter(one.event_id for one in run.world.receiver.log if one.job_id in ours)
    run.figures["webhooks_received_twice"] = sum(times == 2 for times in receipts.values())
    run.expect(
        all(times == 2 for times in receipts.values()), f"webhooks were received {sorted(set(receipts.values()))} times"
    )


async def _wait_until_delivered(run: Run, attempt: Attempt) -> None:
    """Wait until a delivery has ended. Deliveries that started with it have ended, too."""
    within_s = run.profile.quiet_within_s
    await until(lambda: run.world.record.value(DELIVERED, attempt.job_id), within_s=within_s)


def _hold_schedule(run: Run, attempt: Attempt, waits_s: Iterable[float], *, answer_s: float = 0.0) -> None:
    """Expect the configured waits between attempts, plus jitter and the time of an answer."""
    waits_s = tuple(waits_s)
    times = [one.at for one in run.world.receiver.log if one.job_id == attempt.job_id]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    run.expect(len(gaps) == len(waits_s), f"{attempt.webhook} was tried {len(times)} times, not {len(waits_s) + 1}")
    for gap, wait_s in zip(gaps, waits_s, strict=False):
        least, most = wait_s + answer_s - 0.05, wait_s * (1 + JITTER) + answer_s + SLACK_S
        run.expect(least <= gap <= most, f"{attempt.webhook} was tried again after {gap:.2f} s, not {wait_s:.2f} s")


def _expect_outcome(run: Run, behaviour: str, outcome: tuple[object, ...], row: object) -> None:
    found = tuple(row[name] for name in ("state", "attempts", "code")) if row else None  # type: ignore[index]
    if found and outcome[2] is None:
        found = (*found[:2], None)  # ignore the code of an earlier attempt
    run.expect(found == outcome, f"the delivery to {behaviour} ended as {found}, not as {outcome}")


async def _measure_throughput(run: Run) -> None:
    """Measure how much slower transcription is while half of the endpoints hang."""
    count = run.profile.throughput_jobs
    hanging = run.world.receiver.url("hang", HANGING_HOST)
    await _seconds_for(run, ["ok"] * WARMING_JOBS)  # new child processes are slow at first
    alone_s = beside_s = 0.0
    for _ in range(ROUNDS):  # alternate, because the machine's speed varies
        alone_s += await _seconds_for(run, ["ok"] * count)
        beside_s += await _seconds_for(run, ["ok", hanging] * (count // 2))
    drop = 1 - alone_s / beside_s
    run.figures["throughput_drop"] = round(drop, 3)
    if run.profile.throughput_drop is not None:
        run.hold("throughput drop beside hanging endpoints", drop, run.profile.throughput_drop)


async def _seconds_for(run: Run, webhooks: list[str]) -> float:
    attempts = await asyncio.gather(
        *(run.load.attempt(run.world.long, webhook=webhook, never_accepted=webhook != "ok") for webhook in webhooks)
    )
    await run.ended(attempts)
    took = await run.world.record.value(ENDED, [attempt.job_id for attempt in attempts])
    return float(took.total_seconds())


@contextlib.asynccontextmanager
async def _enqueueing_three_times(run: Run) -> AsyncIterator[set[str]]:
    """Enqueue every dispatch twice more, with its task's id written otherwise, so that it is taken three times."""
    enqueued: set[str] = set()

    async def enqueue() -> None:
        while True:
            ours = [attempt.job_id for attempt in run.load.accepted]  # other runs may run in parallel
            for row in await run.world.record.fetch(QUEUED_TASKS, ours):
                dispatch = Dispatch(row["id"], row["dispatch_no"], TaskKind(row["kind"]))
                if dispatch.arq_id not in enqueued:
                    enqueued.add(dispatch.arq_id)
                    await _enqueue_again(run, dispatch)
            await asyncio.sleep(0.02)

    enqueuing = asyncio.create_task(enqueue())
    try:
        yield enqueued
    finally:
        enqueuing.cancel()
        await asyncio.gather(enqueuing, return_exceptions=True)


async def _enqueue_again(run: Run, dispatch: Dispatch) -> None:
    seconds, _ = await run.world.redis.time()
    for task_id in (str(dispatch.task_id).upper(), dispatch.task_id.hex):
        await run.world.redis.zadd(dispatch.queue, {f"{task_id}.{dispatch.dispatch_no}": seconds * 1000})
