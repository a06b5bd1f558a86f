"""The arq workers of a processor, for each Redis: one takes compute tasks, one fetches
sources, one asks chat providers if there are any, one delivers webhooks.

arq gives a worker its main loop, functions and shutdown. How tasks are taken is ours: one call of a script removes them
from the queue, and nothing else is written to Redis for them. A worker without tasks blocks until some are enqueued.

The workers of several Redis share the slots. One whose Redis is lost or frozen holds none.
"""

import asyncio
import time
import traceback
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from arq.connections import ArqRedis
from arq.worker import Worker, func
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from processor_service.models.servable import servable_models
from processor_service.tasks.execute import run_compute_task, run_delivery, run_fetch, run_summary
from processor_service.tasks.processor import Processor
from processor_service.tasks.shared_slots import Demand, SharedSlots
from shared.connections.redis import FAILED, open_address
from shared.connections.redis_shards import RedisShard, single_shard
from shared.connections.redis_url import RedisAddress, parse_redis_url
from shared.failpoints import failpoint
from shared.queue import dispatch
from shared.queue.announced_models import ANNOUNCES, announce_models, announce_summaries
from shared.queue.fair_shares import INTERACTIVE_SHARE, look, take, wake_key
from shared.telemetry.logs import Log

log = Log(__name__)

HEALTH_EVERY_S = 5.0
HEALTH_MS = 15_000  # two writes may be late
BLOCKED_S = 2.5  # of one command; below the timeout of the connection
LOOK_S = 0.5
PAUSE_S = 0.5  # while no task may be taken, or Redis fails
UNLIMITED, ONCE = -1, 1  # retries of a command


class PollingWorker(Worker):
    """arq's worker for one Redis, with the time of its last step for the liveness check.

    It takes from the first of its queues that has tasks. `poll_delay` is the longest time between two looks at empty
    queues. Enqueuing wakes a worker; a worker that dies between its wake-up and its look loses that, and versions
    before this one wake none.
    """

    last_poll_s = 0.0  # on the monotonic clock; 0: not yet
    interactive_share = INTERACTIVE_SHARE
    may_start: Callable[[], bool] = staticmethod(lambda: True)  # asked before tasks are taken
    models: Callable[[], Sequence[str]] = staticmethod(tuple)  # what the process can run; reads a folder
    can_summarize = False

    def __init__(
        self,
        functions: Sequence[Any],
        *,
        queues: Sequence[str],
        poll_delay: float,
        shard: RedisShard | None = None,
        slots: SharedSlots | None = None,
        **options: Any,
    ) -> None:
        """Take arq's options. `queues`: as they are named in Redis.

        `shard`: the Redis of `redis_pool`, if there are several, whose workers share `slots`.
        """
        pause_s = 0.01 if options.get("burst") else 0
        super().__init__(functions, queue_name=queues[0], poll_delay=pause_s, **options)
        self.queues = queues
        self._shard = shard or single_shard(self.pool)
        self._slots = slots or SharedSlots(self.max_jobs)
        self._look_every_s = poll_delay
        self._are_empty = False  # the queues, at the last look
        self._looked_s = 0.0

    async def _poll_iteration(self) -> None:
        """Take tasks, or wait for a reason to. arq's main loop calls it without a pause."""
        try:
            await self._step()
            await self.heart_beat()
        except (RedisError, OSError) as error:
            log.warning("queue_read_failed", queues=self.queues, error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(PAUSE_S)
            self._are_empty = False  # a wake-up may be lost
        self.last_poll_s = time.monotonic()

    async def _step(self) -> None:
        if not self._may_take() or not self._shard.answers:
            await asyncio.sleep(PAUSE_S)
        elif self._are_empty and not self.burst:
            self._are_empty = not await self._should_look()
        elif lent := await self._reserve():
            await self._take(lent)

    async def _reserve(self) -> int:
        """Return how many slots the worker has got; 0 after a while without a free one."""
        try:
            async with asyncio.timeout(PAUSE_S):
                return await self._slots.reserve(self._shard.name, self._look)
        except TimeoutError:
            return 0

    def _may_take(self) -> bool:
        has_burst_ended = self._has_burst_limit and self.max_burst_jobs <= self._jobs_started()
        return self.allow_pick_jobs and self.may_start() and not has_burst_ended

    async def _look(self) -> Demand:
        """Return what waits in the first queue with tasks. What is unknown counts as the tasks of one tenant."""
        try:
            found = await self._shard.ask(partial(look, queues=self.queues), within_s=LOOK_S)
        except FAILED:
            return Demand()
        demands = (Demand(at, each.interactive, each.tenants) for at, each in enumerate(found) if each.tasks)
        return next(demands, Demand(queue=len(found)))

    async def _should_look(self) -> bool:
        """Block until tasks are enqueued, or for a while. Return whether to look at the queues."""
        left_s = self._looked_s + self._look_every_s - time.monotonic()
        if left_s <= 0:
            return True
        redis: Any = self.pool  # redis-py's types mix both clients
        found = await redis.blpop([wake_key(queue) for queue in self.queues], timeout=min(left_s, BLOCKED_S))
        if found is None:
            return False
        if not self._may_take() or not self._slots.free:  # in the meantime: another worker looks
            await redis.rpush(*found)
        return True

    async def _take(self, lent: int) -> None:
        """Take tasks into slots, and give back the others. A frozen Redis holds them once, for a second."""
        self._looked_s = time.monotonic()
        wanted = min(lent, self.max_burst_jobs - self._jobs_started()) if self._has_burst_limit else lent
        taken = 0
        try:
            for queue in self.queues:
                taken += await self._take_from(queue, wanted - taken)
                if taken == wanted:
                    break
            self._are_empty = taken < wanted
        finally:
            self._slots.use(self._shard.name, taken)
            self._slots.give_back(lent - taken)

    async def _take_from(self, queue: str, wanted: int) -> int:
        taken = await self._shard.ask(lambda _: take(self.pool, queue, wanted, share=self.interactive_share))
        failpoint("take.after")
        for arq_id in taken:
            self.tasks[arq_id] = task = asyncio.create_task(self._run(arq_id))
            task.add_done_callback(partial(self._ended, arq_id))
        return len(taken)

    @property
    def _has_burst_limit(self) -> bool:
        return self.burst and self.max_burst_jobs >= 0

    def _ended(self, arq_id: str, _task: "asyncio.Task[None]") -> None:
        self.tasks.pop(arq_id, None)
        self._slots.give_back(1)

    async def _run(self, arq_id: str) -> None:
        """Run a task. PostgreSQL says what became of it: nothing is written to Redis."""
        ours = dispatch.dispatch_of(arq_id, self.queue_name)
        if ours is None:
            log.warning("dispatch_not_ours", arq_id=arq_id)
            return
        try:
            await self._function(self.ctx, str(ours.task_id), ours.dispatch_no)
        except asyncio.CancelledError:  # by arq's shutdown, which waits for its tasks: they must not raise
            self.jobs_retried += 1
        except Exception:  # noqa: BLE001 - the lease expires, or the reconciler finds the task
            self.jobs_failed += 1
            log.error("task_not_concluded", arq_id=arq_id, traceback=traceback.format_exc())
        else:
            self.jobs_complete += 1

    @property
    def _function(self) -> Callable[..., Coroutine[Any, Any, None]]:
        return self.functions[dispatch.ARQ_FUNCTION].coroutine

    async def record_health(self) -> None:
        """Write arq's health key of this process, one key that all processors share, and the models it can run.

        The ingest reads the shared keys: a search for the keys of processes would scan every key in Redis.
        """
        if time.monotonic() - self._last_health_check < HEALTH_EVERY_S:
            return
        self._last_health_check = time.monotonic()
        await self.pool.psetex(self.health_check_key, HEALTH_MS, repr(self))
        if dispatch.is_compute_queue(self.queue_name):
            await self.pool.psetex(dispatch.PROCESSOR_SEEN_KEY, dispatch.PROCESSOR_SEEN_TTL_MS, ANNOUNCES)
            if self.can_summarize:  # before the models, without which the ingest refuses nothing
                await announce_summaries(self.pool)
            await announce_models(self.pool, await asyncio.to_thread(self.models))


def connect(redis: str | RedisAddress, *, timeout_s: float = 2.0, retries: int = ONCE) -> ArqRedis:
    """Return a client that detects a frozen server, for a URL or a parsed one."""
    address = parse_redis_url(redis) if isinstance(redis, str) else redis
    pool = open_address(address, **connection_options(timeout_s=timeout_s, retries=retries))
    return ArqRedis(pool_or_conn=pool, job_serializer=dispatch.serialize, job_deserializer=dispatch.deserialize)


def connection_options(*, timeout_s: float = 2.0, retries: int = ONCE) -> dict[str, Any]:
    """Return the options of connections that give up early: maintenance repeats every write to Redis."""
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "socket_keepalive": True,
        "health_check_interval": 15,
        "retry": Retry(ExponentialBackoff(cap=2, base=0.1), retries=retries),
        # OSError too: without it a refused connection ends arq's main loop.
        "retry_on_error": [RedisConnectionError, RedisTimeoutError, OSError],
    }


def open_workers(processor: Processor) -> list[PollingWorker]:
    """Return the workers of all queues, for each Redis. They connect when they run."""
    settings = processor.settings
    compute = _workers(
        processor,
        dispatch.COMPUTE_QUEUE,
        [dispatch.compute_queue(name) for name in settings.queues],
        run_compute_task,
        at_once=settings.slots,
    )
    for worker in compute:
        worker.may_start = processor.disks.may_claim
        worker.models = partial(servable_models, settings, processor.models)
        worker.can_summarize = bool(settings.chat_providers)
        worker.interactive_share = settings.interactive_share
    fetch, summarize, deliver = dispatch.FETCH_QUEUE, dispatch.SUMMARY_QUEUE, dispatch.DELIVERY_QUEUE
    workers = [
        *compute,
        *_workers(processor, fetch, [fetch], run_fetch, at_once=settings.fetches),
        *_workers(processor, deliver, [deliver], run_delivery, at_once=settings.deliveries),
    ]
    if settings.chat_providers:  # else unprovided_summaries.py ends what no other processor takes
        workers += _workers(processor, summarize, [summarize], run_summary, at_once=settings.summaries)
    return workers


def _workers(
    processor: Processor,
    kind: str,
    queues: Sequence[str],
    function: Callable[..., Coroutine[Any, Any, None]],
    *,
    at_once: int,
) -> list[PollingWorker]:
    """Return a worker for each Redis. `kind` is the queue in the name of the health key."""
    slots = SharedSlots(at_once)
    return [
        PollingWorker(
            [func(function, name=dispatch.ARQ_FUNCTION)],
            queues=queues,
            redis_pool=connect(shard.address, timeout_s=5, retries=UNLIMITED),  # survives outages
            ctx={"processor": processor},
            handle_signals=False,
            max_jobs=at_once,
            poll_delay=processor.settings.poll_s,
            health_check_key=dispatch.arq_health_key(kind, processor.name),
            shard=shard,
            slots=slots,
        )
        for shard in processor.redis
    ]
