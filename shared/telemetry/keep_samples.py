"""Keeps a sample of a service's metrics every minute in Redis, and adds its growth to the day's history.

Nothing waits for it. Each of several Redis gets all samples; while one is unavailable, its charts have a gap. One of
the processes that share a metrics folder keeps the sample of a minute.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from shared.connections.redis import Redis
from shared.connections.redis_shards import RedisShards
from shared.telemetry import day_history
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages
from shared.telemetry.samples import (
    EVERY_S,
    INSTANCES_KEY,
    KEPT_S,
    KEPT_SAMPLES,
    Sample,
    decode_sample,
    encode_sample,
    kept_values,
    samples_key,
)

TIMEOUT_S = 10.0
MOST_DELAY_S = 20.0  # within a minute; services are spread over it, so that they do not ask the database at once
PAUSE_S = 3 * EVERY_S  # after a longer pause, growth is not added to one minute
NEW_S = 2 * EVERY_S  # a process that is younger, and has no sample yet, has counted from 0

Metrics = Callable[[], Awaitable[str]]  # returns the text of `/metrics`


async def keep_samples(shards: RedisShards, job: str, instance: str, metrics: Metrics, *, first_after_s: float) -> None:
    """Keep the samples of one service in each Redis until cancelled."""
    keepers = shards.map(lambda shard: SampleKeeper(shard.redis, job, instance, metrics))
    await asyncio.gather(*(keeper.run(first_after_s=first_after_s) for keeper in keepers))


class SampleKeeper:
    """The samples of one service. `job` and `instance` are the labels that Prometheus would add."""

    def __init__(self, redis: Redis, job: str, instance: str, metrics: Metrics) -> None:
        self._redis = redis
        self._member = f"{job}|{instance}"
        self._key = samples_key(job, instance)
        self._metrics = metrics
        self._began_s = time.monotonic()

    async def run(self, *, first_after_s: float) -> None:
        """Keep a sample each minute until cancelled."""
        outages = Outages(Log(__name__), "samples_not_kept", "samples_kept")
        delay_s = random.uniform(0, MOST_DELAY_S)  # noqa: S311 - it is no secret
        wait_s = first_after_s
        while True:
            await asyncio.sleep(wait_s)
            wait_s = EVERY_S
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    now_s = await self.keep()
            except Exception as error:  # noqa: BLE001 - the next minute tries again
                outages.failed(error)
            else:
                outages.worked()
                wait_s = EVERY_S - now_s % EVERY_S + delay_s

    async def keep(self) -> float:
        """Keep a sample, unless another process has kept that of this minute. Return the Unix time of Redis.

        Raise redis-py's errors.
        """
        seconds, microseconds = await self._redis.time()
        now_s: float = seconds + microseconds / 1e6
        minute = int(now_s // EVERY_S)
        if await self._redis.set(f"{self._key}:{minute}", "", nx=True, ex=round(2 * EVERY_S)):
            sample = Sample(round(now_s, 3), kept_values(await self._metrics()))
            await self._write(sample, minute, await self._before(now_s))
        return now_s

    async def _before(self, now_s: float) -> dict[str, float] | None:
        """Return the values to count from; None after a pause."""
        data = await self._redis.lindex(self._key, -1)  # type: ignore[misc] # redis-py's types mix both clients
        if data is None:
            return {} if time.monotonic() - self._began_s < NEW_S else None
        last = decode_sample(data)
        return dict(last.values) if last and now_s - last.time_s < PAUSE_S else None

    async def _write(self, sample: Sample, minute: int, before: dict[str, float] | None) -> None:
        hour = day_history.hour_key(minute // 60)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.rpush(self._key, encode_sample(sample))
            pipe.ltrim(self._key, -KEPT_SAMPLES, -1)
            pipe.expire(self._key, KEPT_S)
            pipe.zadd(INSTANCES_KEY, {self._member: sample.time_s})
            pipe.zremrangebyscore(INSTANCES_KEY, "-inf", sample.time_s - KEPT_S)
            for name, value in day_history.added(before, sample.values).items():
                pipe.hincrbyfloat(hour, day_history.field(minute, name), value)
            for name, value in day_history.backlog_of(sample.values).items():
                pipe.hset(hour, day_history.field(minute, name), str(value))
            pipe.expire(hour, day_history.KEPT_S)
            await pipe.execute()
