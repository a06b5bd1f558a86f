"""The two arq workers of a processor: one takes compute tasks, a slot each; one delivers webhooks.

arq is the bell and nothing more: retries, results, aborts and timeouts of its own are all off or out of reach.
"""

import time
from collections.abc import Callable, Coroutine
from typing import Any

from arq.connections import ArqRedis
from arq.worker import Worker, func
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from processor_service.redis_pool import open_pool
from processor_service.tasks.execute import Processor, run_compute_task, run_delivery
from shared.queue.dispatch import (
    ARQ_FUNCTION,
    ARQ_IN_PROGRESS_KEY_PREFIX,
    COMPUTE_QUEUE,
    DELIVERY_QUEUE,
    PAYLOAD_TTL_MS,
    PROCESSOR_SEEN_KEY,
    PROCESSOR_SEEN_TTL_MS,
    arq_health_key,
    deserialize,
    serialize,
)
from shared.queue.fair_shares import note_taken
from shared.telemetry.logs import Log

log = Log(__name__)

FAR_ABOVE_ANY_TASK_S = 7 * 24 * 3600  # arq's own timeout would delete the task; the record decides instead
NEVER_GIVE_UP = 1_000_000  # arq counts interruptions as tries
HEALTH_EVERY_S = 5
READ_LIMIT = 1000  # at least twice what the whole fleet runs at once, or idle workers see only running tasks
FOR_EVER, SOON = -1, 1  # retries of a command


class PollingWorker(Worker):
    """arq's worker, which also tells when it last looked for work: its liveness."""

    last_poll_s = 0.0  # by the monotonic clock; 0: not yet

    async def _poll_iteration(self) -> None:
        await super()._poll_iteration()
        self.last_poll_s = time.monotonic()

    async def record_health(self) -> None:
        """As arq's, every few seconds under a key of this process; here also under one key of all processors.

        Without that an ingest would have to search all keys of Redis for those of arq, and a long queue has many.
        """
        before = self._last_health_check
        await super().record_health()
        if self._last_health_check != before and self.queue_name == COMPUTE_QUEUE:
            await self.pool.psetex(PROCESSOR_SEEN_KEY, PROCESSOR_SEEN_TTL_MS, b"")

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """As arq's, one by one: a connection that breaks while arq watches a key would end its main loop."""
        for job_id in await self._not_running(job_ids):
            if self.job_counter >= self.max_jobs:
                return
            try:
                await super().start_jobs([job_id])
            except (RedisError, OSError) as error:
                log.warning("start_failed", arq_id=job_id.decode(), error=f"{type(error).__name__}: {error}")
                self.job_counter -= 1  # arq takes both before it asks Redis
                self.sem.release()

    async def _not_running(self, job_ids: list[bytes]) -> list[bytes]:
        """Those that nobody has begun, by one command: what runs stays at the queue's head, and costs arq four each."""
        if not job_ids:
            return []
        try:
            running = await self.pool.mget([ARQ_IN_PROGRESS_KEY_PREFIX.encode() + job_id for job_id in job_ids])
        except (RedisError, OSError) as error:
            log.warning("look_failed", error=f"{type(error).__name__}: {error}")
            return []
        return [job_id for job_id, mark in zip(job_ids, running, strict=True) if mark is None]

    async def run_job(self, job_id: str, score: int) -> None:
        """As arq's, once those who ring are told how far the queue has come."""
        try:
            await note_taken(self.pool, self.queue_name, score)
        except (RedisError, OSError) as error:  # the next one taken tells it, too
            log.warning("not_noted", arq_id=job_id, error=f"{type(error).__name__}: {error}")
        await super().run_job(job_id, score)


def connect(redis_url: str, *, timeout_s: float = 2.0, retries: int = SOON) -> ArqRedis:
    """A client that notices a frozen server. It gives up soon: whatever is told to Redis is told again by upkeep."""
    pool = open_pool(
        redis_url,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(ExponentialBackoff(cap=2, base=0.1), retries=retries),
        # OSError too: without it a refused connection ends arq's main loop.
        retry_on_error=[RedisConnectionError, RedisTimeoutError, OSError],
    )
    return ArqRedis(pool_or_conn=pool, job_serializer=serialize, job_deserializer=deserialize)


def compute_worker(processor: Processor) -> PollingWorker:
    """Takes prepare, chunk and finish tasks."""
    return _worker(processor, COMPUTE_QUEUE, run_compute_task, at_once=processor.settings.slots)


def delivery_worker(processor: Processor) -> PollingWorker:
    """Takes deliver tasks."""
    return _worker(processor, DELIVERY_QUEUE, run_delivery, at_once=processor.settings.deliveries)


def _worker(
    processor: Processor, queue: str, function: Callable[..., Coroutine[Any, Any, None]], *, at_once: int
) -> PollingWorker:
    return PollingWorker(
        functions=[func(function, name=ARQ_FUNCTION)],
        queue_name=queue,
        redis_pool=connect(processor.settings.redis_url, timeout_s=5, retries=FOR_EVER),  # a worker outlives any outage
        ctx={"processor": processor},
        handle_signals=False,
        max_jobs=at_once,
        job_timeout=FAR_ABOVE_ANY_TASK_S,
        max_tries=NEVER_GIVE_UP,
        keep_result=0,
        poll_delay=processor.settings.poll_s,
        queue_read_limit=READ_LIMIT,
        health_check_key=arq_health_key(queue, processor.name),
        health_check_interval=HEALTH_EVERY_S,
        expires_extra_ms=PAYLOAD_TTL_MS,
        job_serializer=serialize,
        job_deserializer=deserialize,
        log_results=False,
    )
