"""Wait for the end of a job, and cancel a job that was made for a waiting request when no request waits any more.

Every request that waits subscribes to the hints of its job, in any process. So Redis knows whether a job is watched
anywhere, and forgets a process that died. Nothing is cancelled while the Redis of its tenant is unavailable, and
nothing by a process that stops: such a job goes on. All Redis are asked, since another process may have another list
of them while a list changes.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from ingest_service.errors import RefusedError
from ingest_service.jobs.events import JobWatcher
from ingest_service.jobs.views import JobKey, JobState
from shared.connections.redis_shards import RedisShards, ask_each
from shared.job_hints import channel_of
from shared.run_beside import run_beside
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

log = Log(__name__)

CONFIRM_AFTER_S = 2.0  # a process that lost its connection to Redis subscribes again within this time
TIMEOUT_S = 1.5


async def wait_until_over(watcher: JobWatcher, key: JobKey, *, timeout_s: float | None) -> JobState:
    """Return a job's state as soon as it is over; otherwise its last state, at the timeout or when the process stops.

    Raise RefusedError `not_found` or `job_erased`, and OutageError, before the wait.
    """
    state = await watcher.get(key)
    with watcher.listening(key, state) as listener:
        try:
            async with asyncio.timeout(timeout_s):
                while not state.is_over and (changed := await listener.next()):
                    state = changed
        except TimeoutError:
            pass
    return state


class Waiting:
    """One request that waits."""

    def __init__(self) -> None:
        self.is_over = False

    def end(self) -> None:
        """Note that the job is over, so that nothing is checked later. Without it, one query finds out."""
        self.is_over = True


class Waiters:
    """Counts the requests that wait for jobs in this process, and cancels jobs that no process waits for."""

    def __init__(
        self, shards: RedisShards, watcher: JobWatcher, cancel: Callable[[JobKey], Awaitable[None]], *, grace_s: float
    ) -> None:
        """`cancel` cancels a job that nothing waits for. It raises RefusedError if the job has ended."""
        self._shards = shards
        self._watcher = watcher
        self._cancel = cancel
        self._grace_s = grace_s
        self._waiting: Counter[JobKey] = Counter()
        self._abandoned: dict[JobKey, float] = {}  # → when to check, on the loop's clock
        self._seen_alone: set[JobKey] = set()  # abandoned, and watched nowhere at the last check
        self._wake = asyncio.Event()
        self._outages = Outages(log, "abandoned_jobs_not_checked", "abandoned_jobs_checked_again")

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Waiters"]:
        """Check abandoned jobs during the block."""
        async with run_beside(self._check_forever()):
            yield self

    @contextmanager
    def waiting(self, key: JobKey) -> Iterator[Waiting]:
        """Keep the job during the block. When the last request leaves it before its end, cancel it after the grace.

        Use it only for jobs that were made for a waiting request.
        """
        waiting = Waiting()
        self._waiting[key] += 1
        self._abandoned.pop(key, None)
        self._seen_alone.discard(key)
        try:
            with self._watcher.hints.watching(key.tenant, channel_of(key.job_id)):
                yield waiting
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
                if not waiting.is_over:
                    self._check_later(key, self._grace_s)

    def _check_later(self, key: JobKey, after_s: float) -> None:
        if key not in self._waiting:
            self._abandoned[key] = asyncio.get_running_loop().time() + after_s
            self._wake.set()

    async def _check_forever(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            next_s = min(self._abandoned.values(), default=None)
            if next_s is None or next_s > clock():
                await self._wait_until(next_s)
                continue
            due = [key for key, at_s in self._abandoned.items() if at_s <= clock()]
            for key in due:
                del self._abandoned[key]
            await self._check(due)

    async def _wait_until(self, due_s: float | None) -> None:
        try:
            async with asyncio.timeout_at(due_s):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _check(self, keys: list[JobKey]) -> None:
        """Cancel the jobs that are watched nowhere for the second time, and check the others again later."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                watchers = await self._count_watchers(keys)
        except Exception as error:  # noqa: BLE001 - any error: what is unknown is not cancelled
            self._outages.failed(error, jobs=len(keys))
            for key in keys:
                self._keep(key)
            return
        self._outages.worked()
        for key, count in zip(keys, watchers, strict=True):
            if count != 0:
                self._keep(key)
            elif key in self._seen_alone:
                await self._give_up(key)
            else:
                self._seen_alone.add(key)
                self._check_later(key, CONFIRM_AFTER_S)

    async def _count_watchers(self, keys: list[JobKey]) -> list[int | None]:
        """Return how many processes watch each job; None if the Redis of its tenant does not answer."""
        channels = [channel_of(key.job_id) for key in keys]
        answers = await ask_each(self._shards, lambda redis: redis.pubsub_numsub(*channels))
        counts = answers.require_one()
        sums = [sum(count for _, count in of_job) for of_job in zip(*counts.values(), strict=True)]
        return [count if self._shards.of(key.tenant) in counts else None for key, count in zip(keys, sums, strict=True)]

    def _keep(self, key: JobKey) -> None:
        self._seen_alone.discard(key)
        self._check_later(key, self._grace_s)

    async def _give_up(self, key: JobKey) -> None:
        self._seen_alone.discard(key)
        if key in self._waiting:
            return
        try:
            await self._cancel(key)
        except RefusedError:
            return  # it ended, or was erased
        except Exception as error:  # noqa: BLE001 - whatever the database raises, the next check tries again
            log.warning("abandoned_job_not_cancelled", job_id=key.job_id, error=f"{type(error).__name__}: {error}")
            self._keep(key)
            return
        log.info("abandoned_job_cancelled", job_id=key.job_id, tenant=key.tenant)
