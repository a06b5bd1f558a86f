"""Liveness and readiness of a processor on a port of its own, for whoever supervises it. Serves no clients."""

import contextlib
import time
from collections.abc import AsyncIterator

from aiohttp import web
from redis.exceptions import RedisError

from processor_service.run_task import DATABASE_ERRORS, Processor
from processor_service.worker import PollingWorker
from shared.blob_store import BlobStoreError

STALE_POLL_S = 300.0  # while Redis is away polls wait for it; a restart would not bring it back


@contextlib.asynccontextmanager
async def serve(processor: Processor, workers: list[PollingWorker]) -> AsyncIterator[None]:
    """Answer `/health/live` and `/health/ready` on loopback while the block runs; nothing when the port is 0."""
    if not processor.settings.health_port:
        yield
        return

    started_s = time.monotonic()

    async def live(_request: web.Request) -> web.Response:
        age_s = max(time.monotonic() - max(worker.last_poll_s, started_s) for worker in workers)
        return web.json_response({"poll_age_s": round(age_s, 1)}, status=200 if age_s < STALE_POLL_S else 503)

    async def ready(_request: web.Request) -> web.Response:
        away = await _away(processor)
        return web.json_response({"away": away}, status=503 if away else 200)

    app = web.Application()
    app.add_routes([web.get("/health/live", live), web.get("/health/ready", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", processor.settings.health_port).start()
    try:
        yield
    finally:
        await runner.cleanup()


async def _away(processor: Processor) -> list[str]:
    away = []
    try:
        await processor.database.fetchval("SELECT 1")
    except DATABASE_ERRORS:
        away.append("database")
    try:
        await processor.redis.ping()
    except (RedisError, OSError):
        away.append("redis")
    try:
        await processor.blobs.check()
    except BlobStoreError:
        away.append("storage")
    return away
