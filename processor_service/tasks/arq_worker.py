"""The arq workers of a processor: one takes compute tasks, one a slot; one fetches sources; one delivers webhooks.

arq only dispatches. Its own retries, results, aborts and timeouts are off or out of reach.
"""

import asyncio
import time
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
from processor_service.tasks.execute import Processor, run_compute_task, run_delivery, run_fetch
from shared.connections.redis import open_redis_pool
from shared.queue import dispatch
from shared.queue.announced_models import ANNOUNCES, announce_models
from shared.queue.fair_shares import INTERACTIVE_SHARE, next_tasks, record_start
from shared.telemetry.logs import Log

log = Log(__name__)

FAR_ABOVE_ANY_TASK_S = 7 * 24 * 3600  # arq's own timeout would delete the task; the lease decides instead
NEVER_GIVE_UP = 1_000_000  # arq counts interruptions as tries
HEALTH_EVERY_S = 5
READ_LIMIT = 1000  # at least twice what the whole fleet runs at once; else idle workers see only running tasks
UNLIMITED, ONCE = -1, 1  # retries of a command


class PollingWorker(Worker):
    """arq's worker, with the time of its last poll for the liveness check."""

    last_poll_s = 0.0  # on the monotonic clock; 0: not yet
    interactive_share = INTERACTIVE_SHARE
    may_start: Callable[[], bool] = staticmethod(lambda: True)  # asked before each job
    models: Callable[[], Sequence[str]] = staticmethod(tuple)  # what the process can run; reads a folder

    async def _poll_iteration(self) -> None:
        await super()._poll_iteration()
        self.last_poll_s = time.monotonic()

    async def record_health(self) -> None:
        """Write arq's health key of this process, one key that all processors share, and the models it can run.

        The ingest reads the shared keys: a search for the keys of processes would scan every key in Redis.
        """
        before = self._last_health_check
        await super().record_health()
        if self._last_health_check != before and self.queue_name == dispatch.COMPUTE_QUEUE:
            await self.pool.psetex(dispatch.PROCESSOR_SEEN_KEY, dispatch.PROCESSOR_SEEN_TTL_MS, ANNOUNCES)
            await announce_models(self.pool, await asyncio.to_thread(self.models))

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Start jobs one by one: a connection that breaks while arq watches a key would end arq's main loop."""
        for job_id in await self._in_fair_order(await self._not_running(job_ids), is_all=len(job_ids) < READ_LIMIT):
            if self.job_counter >= self.max_jobs or not self.may_start():
                return
            try:
                await super().start_jobs([job_id])
            except (RedisError, OSError) as error:
                log.warning("dequeue_failed", arq_id=job_id.decode(), error=f"{type(error).__name__}: {error}")
                self.job_counter -= 1  # arq takes both before it calls Redis
                self.sem.release()

    async def _not_running(self, job_ids: list[bytes]) -> list[bytes]:
        """Filter out running jobs with one command: they stay at the queue's head, and arq needs four commands each."""
        if not job_ids:
            return []
        try:
            prefix = dispatch.ARQ_IN_PROGRESS_KEY_PREFIX.encode()
            running = await self.pool.mget([prefix + job_id for job_id in job_ids])
        except (RedisError, OSError) as error:
            log.warning("queue_read_failed", queue=self.queue_name, error=f"{type(error).__name__}: {error}")
            return []
        return [job_id for job_id, mark in zip(job_ids, running, strict=True) if mark is None]

    async def _in_fair_order(self, waiting: list[bytes], *, is_all: bool) -> list[bytes]:
        """Return the first tasks after those whose tenants owe were postponed."""
        free = self.max_jobs - self.job_counter
        if free <= 0 or not waiting or self.queue_name != dispatch.COMPUTE_QUEUE:
            return waiting
        try:
            return await next_tasks(
                self.pool, self.queue_name, free, waiting, is_all=is_all, share=self.interactive_share
            )
        except (RedisError, OSError) as error:
            log.warning("queue_order_failed", queue=self.queue_name, error=f"{type(error).__name__}: {error}")
            return []

    async def run_job(self, job_id: str, score: int) -> None:
        """Run a job after writing the queue's virtual time to Redis, from which enqueuing computes new scores."""
        try:
            await record_start(self.pool, self.queue_name, job_id, score, share=self.interactive_share)
        except (RedisError, OSError) as error:  # the next job writes a newer time
            log.warning("virtual_time_not_written", arq_id=job_id, error=f"{type(error).__name__}: {error}")
        await super().run_job(job_id, score)


def connect(redis_url: str, *, timeout_s: float = 2.0, retries: int = ONCE) -> ArqRedis:
    """Return a client that detects a frozen server. It gives up early: maintenance repeats every write to Redis."""
    pool = open_redis_pool(
        redis_url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=2, base=0.1), retries=retries),
        # OSError too: without it a refused connection ends arq's main loop.
        retry_on_error=[RedisConnectionError, RedisTimeoutError, OSError],
    )
    return ArqRedis(pool_or_conn=pool, job_serializer=dispatch.serialize, job_deserializer=dispatch.deserialize)


def compute_worker(processor: Processor) -> PollingWorker:
    """Return the worker of prepare, chunk and finish tasks."""
    worker = _worker(processor, dispatch.COMPUTE_QUEUE, run_compute_task, at_once=processor.settings.slots)
    worker.may_start = processor.disks.may_claim
    worker.models = partial(servable_models, processor.settings, processor.models)
    worker.interactive_share = processor.settings.interactive_share
    return worker


def fetch_worker(processor: Processor) -> PollingWorker:
    """Return the worker that fetches sources."""
    return _worker(processor, dispatch.FETCH_QUEUE, run_fetch, at_once=processor.settings.fetches)


def delivery_worker(processor: Processor) -> PollingWorker:
    """Return the worker of deliver tasks."""
    return _worker(processor, dispatch.DELIVERY_QUEUE, run_delivery, at_once=processor.settings.deliveries)


def _worker(
    processor: Processor, queue: str, function: Callable[..., Coroutine[Any, Any, None]], *, at_once: int
) -> PollingWorker:
    return PollingWorker(
        functions=[func(function, name=dispatch.ARQ_FUNCTION)],
        queue_name=queue,
        redis_pool=connect(processor.settings.redis_url.reveal(), timeout_s=5, retries=UNLIMITED),  # survives outages
        ctx={"processor": processor},
        handle_signals=False,
        max_jobs=at_once,
        job_timeout=FAR_ABOVE_ANY_TASK_S,
        max_tries=NEVER_GIVE_UP,
        keep_result=0,
        poll_delay=processor.settings.poll_s,
        queue_read_limit=READ_LIMIT,
        health_check_key=dispatch.arq_health_key(queue, processor.name),
        health_check_interval=HEALTH_EVERY_S,
        expires_extra_ms=dispatch.PAYLOAD_TTL_MS,
        job_serializer=dispatch.serialize,
        job_deserializer=dispatch.deserialize,
        log_results=False,
    )
