"""Liveness, readiness and metrics of a processor on a separate port, for orchestrators and monitoring."""

import contextlib
import socket
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from aiohttp import web

from processor_service.database import DATABASE_ERRORS
from processor_service.tasks.arq_worker import PollingWorker
from processor_service.tasks.processor import Processor
from processor_service.telemetry.exposition import CONTENT_TYPE, show_metrics
from processor_service.telemetry.metrics import LOOP_LAG
from shared.blobs.blob_errors import BlobStoreError
from shared.connections.redis_shards import RedisShard, ask_each
from shared.run_beside import run_beside
from shared.telemetry.backlog import BacklogReader
from shared.telemetry.keep_samples import keep_samples
from shared.telemetry.process_gauges import watching_loop_lag
from shared.telemetry.samples import PROCESSOR_JOB

FIRST_SAMPLE_AFTER_S = 5.0
PART_OF_REDIS = "redis:"
STALE_POLL_S = 300.0  # polls block while Redis is unavailable; a restart would not help


@contextlib.asynccontextmanager
async def serve(processor: Processor, workers: list[PollingWorker]) -> AsyncIterator[None]:
    """Serve `/health/live`, `/health/ready` and `/metrics` while the block runs, unless the port is 0. Keep samples."""
    started_s = time.monotonic()
    backlog, sampled = (BacklogReader(lambda query: _rows(processor, query)) for _ in range(2))

    def ages_s(queue: str) -> list[float]:
        polls_s = [worker.last_poll_s for worker in workers if worker.queue_name == queue]
        return [time.monotonic() - max(poll_s, started_s) for poll_s in polls_s]

    def poll_age_s() -> float:
        return max(max(ages_s(worker.queue_name)) for worker in workers)

    async def live(_request: web.Request) -> web.Response:
        age_s = max(min(ages_s(worker.queue_name)) for worker in workers)  # a restart repairs no Redis
        return web.json_response({"poll_age_s": round(age_s, 1)}, status=200 if age_s < STALE_POLL_S else 503)

    async def ready(_request: web.Request) -> web.Response:
        unavailable = await _unavailable(processor)
        is_ready = all(one.startswith(PART_OF_REDIS) for one in unavailable)
        return web.json_response({"away": unavailable}, status=200 if is_ready else 503)

    async def metrics_text(backlog: BacklogReader) -> str:
        return await show_metrics(processor.database, processor.compute, backlog, poll_age_s())

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=(await metrics_text(backlog)).encode(), headers={"Content-Type": CONTENT_TYPE})

    text = partial(metrics_text, sampled)
    samples = keep_samples(
        processor.redis, PROCESSOR_JOB, _instance(processor), text, first_after_s=FIRST_SAMPLE_AFTER_S
    )
    routes = [web.get("/health/live", live), web.get("/health/ready", ready), web.get("/metrics", metrics)]
    async with (
        _serving(processor, routes),
        watching_loop_lag(LOOP_LAG),
        run_beside(samples),
    ):
        yield


def _instance(processor: Processor) -> str:
    """Return the label of the processor: the same after a restart; the port differs among processors of a host."""
    port = processor.settings.health_port
    return f"{socket.gethostname()}:{port}" if port else processor.name


@contextlib.asynccontextmanager
async def _serving(processor: Processor, routes: list[web.RouteDef]) -> AsyncIterator[None]:
    if not processor.settings.health_port:
        yield
        return
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, processor.settings.health_host, processor.settings.health_port).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def _rows(processor: Processor, query: str) -> Sequence[Mapping[str, Any]] | None:
    """Return the rows of a query; None while the database is unavailable."""
    try:
        rows: Sequence[Mapping[str, Any]] = await processor.database.fetch(query)
    except DATABASE_ERRORS:
        return None
    return rows


def _unavailable_redis(shards: Iterable[RedisShard], answered: Collection[RedisShard]) -> list[str]:
    """Name each of several Redis that does not answer: the processor still works for the others."""
    if not answered:
        return ["redis"]
    return [f"{PART_OF_REDIS}{shard.name}" for shard in shards if shard not in answered]


async def _unavailable(processor: Processor) -> list[str]:
    unavailable = []
    try:
        await processor.database.fetchval("SELECT 1")
    except DATABASE_ERRORS:
        unavailable.append("database")
    pings = await ask_each(processor.redis, lambda redis: redis.ping())
    unavailable += _unavailable_redis(processor.redis, pings.by_shard)
    try:
        await processor.blobs.check()
    except BlobStoreError:
        unavailable.append("storage")
    return [*unavailable, *(f"disk:{name}" for name in sorted(processor.disks.full))]
