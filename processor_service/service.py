"""A processor process: opens what tasks need, warms the children, then works until SIGTERM or SIGINT.

It stops in this order: no new claims; running tasks finish within the grace period; the rest returns to the queue; the
children are killed.
"""

import asyncio
import contextlib
import faulthandler
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

import asyncpg

from processor_service import health
from processor_service.compute.messages import Warm
from processor_service.compute.pool import ComputePool
from processor_service.database import opened
from processor_service.disks import Disks
from processor_service.loops import maintain
from processor_service.maintenance.dead_letters import DeadLetterList
from processor_service.maintenance.due_times import DueTimes
from processor_service.maintenance.erase import SETTLED_AFTER_LEASES
from processor_service.maintenance.leader import Leader
from processor_service.models.cache import ModelCache
from processor_service.providers.failover import open_providers
from processor_service.results.write import ResultWriter
from processor_service.scratch import Scratch, open_scratch
from processor_service.settings import ProcessorSettings
from processor_service.sources.fetch_source import SourceFetcher
from processor_service.sources.open_url import open_source_session
from processor_service.stages.summarize import Summarizer
from processor_service.summaries.chat_api import open_chats
from processor_service.tasks.arq_worker import PollingWorker, connection_options, open_workers
from processor_service.tasks.leases import Leases
from processor_service.tasks.processor import Processor
from processor_service.tasks.publish_windows import WindowPublisher
from processor_service.telemetry.traces import attempts_traced
from processor_service.transcribers.engines import ENGINES, find_model, open_cache
from processor_service.webhooks.event_tests import EventTester
from processor_service.webhooks.send import open_webhook_session
from shared.blobs.blob_store import BlobStore
from shared.connections.redis_shards import clients_of, open_redis_shards
from shared.ids import new_id
from shared.job_hints import JobHints
from shared.queue.dispatch import processor_name
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

log = Log(__name__)

BEATS_PER_LEASE = 5  # two may be missed; the next one detects a cancellation
PROGRESS_EVERY_S = 1.0  # the least time between heartbeats that only write progress
STATEMENT_TIMEOUT_S = 30.0
CONNECTIONS = 4  # to Postgres, whatever the slots: each statement takes it for a moment
VITAL_CONNECTIONS = 2  # of heartbeats and looks, which never wait for those
CLOSE_S = 2.0  # for closing the connections to Redis
FORCED_EXIT_S = 10.0  # in addition to two grace periods, for draining and settling: a longer stop hangs


async def serve(settings: ProcessorSettings) -> int:
    """Run until SIGTERM or SIGINT. Return the exit status."""
    stop = StopRequest(grace_s=settings.grace_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with _processor(settings, stop) as processor:
        if processor is None:
            return 0
        return await _work(processor, stop)


@contextlib.asynccontextmanager
async def _processor(settings: ProcessorSettings, stop: asyncio.Event) -> AsyncIterator[Processor | None]:
    """Open the processor and warm its children. Yield None when a stop was requested before that."""
    models = open_cache(settings.transcriber, Path(settings.model_dir))
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(attempts_traced(settings.otlp_url.reveal(), settings.trace_sample))
        scratch = await stack.enter_async_context(open_scratch(settings.scratch_dir))
        blobs = _open_store(settings)
        compute = _new_pool(settings, models, blobs, scratch)
        stack.push_async_callback(compute.stop)
        if not await _unless_stopped(compute.start(), stop):
            yield None
            return
        database = await stack.enter_async_context(_opened(settings, CONNECTIONS))
        vital = await stack.enter_async_context(_opened(settings, VITAL_CONNECTIONS))
        redis = await stack.enter_async_context(open_redis_shards(settings.redis_url.reveal(), **connection_options()))
        windows = await stack.enter_async_context(clients_of(redis).opened(WindowPublisher.opened))
        http = await stack.enter_async_context(open_webhook_session(settings))
        sources = await stack.enter_async_context(open_source_session(settings))
        providers = await stack.enter_async_context(open_providers(settings.providers))
        chats = await stack.enter_async_context(open_chats(settings.chat_providers))
        event_tests = await stack.enter_async_context(EventTester.opened(database, http, settings))
        results = await stack.enter_async_context(ResultWriter.opened(database, blobs, http, settings))
        hints = await stack.enter_async_context(JobHints.opened(redis))
        leases = Leases(database, heartbeats=vital, lease_s=settings.lease_s, job_changed=hints.changed)
        name, due = processor_name(socket.gethostname(), os.getpid()), DueTimes()
        yield Processor(
            name=name,
            settings=settings,
            database=database,
            redis=redis,
            blobs=blobs,
            models=models,
            scratch=scratch,
            disks=Disks({"scratch": scratch.folder, "storage": blobs.local_path("")}, settings.min_free_bytes),
            compute=compute,
            leases=leases,
            due=due,
            leader=Leader(
                vital,
                f"{name}/{new_id()}",
                due,
                settled_s=settings.lease_s * SETTLED_AFTER_LEASES,
                jobs_kept_s=settings.retention_s,
            ),
            hints=hints,
            dead_letters=DeadLetterList(redis),
            http=http,
            event_tests=event_tests,
            results=results,
            sources=SourceFetcher.open(http=sources, blobs=blobs, leases=leases, settings=settings, database=database),
            providers=providers,
            summaries=Summarizer(chats=chats, blobs=blobs, leases=leases, settings=settings),
            windows=windows,
        )


def _open_store(settings: ProcessorSettings) -> BlobStore:
    return BlobStore(
        settings.storage_url,
        timeout_s=settings.storage_timeout_s,
        retry_s=settings.storage_retry_s,
        min_free_bytes=settings.min_free_bytes,
    )


def _new_pool(settings: ProcessorSettings, models: ModelCache, blobs: BlobStore, scratch: Scratch) -> ComputePool:
    warm = _warm(settings, models)
    model = [Path(warm.model_path)] if Path(warm.model_path) != Path() else []
    return ComputePool(
        warm,
        slots=settings.slots,
        threads=settings.threads,
        scratch=scratch.folder,
        readable=[models.folder, *model, *filter(None, [blobs.local_path("")])],
        writable=model if ENGINES[settings.transcriber].writes_beside_model else [],
    )


def _opened(settings: ProcessorSettings, connections: int) -> contextlib.AbstractAsyncContextManager[asyncpg.Pool]:
    return opened(
        settings.database_url.reveal(),
        max_size=connections,
        command_timeout_s=STATEMENT_TIMEOUT_S,
        pooler=settings.database_pooler,
    )


def _warm(settings: ProcessorSettings, models: ModelCache) -> Warm:
    return Warm(
        engine=settings.transcriber,
        model_path=str(find_model(settings.transcriber, settings.model, models)),
        device=settings.device,
        memory_bytes=settings.child_memory_bytes,
        denoiser=settings.denoiser_settings(),
    )


async def _unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Run `work` until it ends or a stop is requested. Return whether it ended."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        working.result()
        return True
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return False


async def _work(processor: Processor, stop: asyncio.Event) -> int:
    logging.getLogger("arq").setLevel(logging.WARNING)
    workers = open_workers(processor)
    async with health.serve(processor, workers):
        works = [_heartbeat(processor), processor.disks.watch(), *maintain(processor)]
        background = [asyncio.create_task(work) for work in works]
        polling = [asyncio.create_task(worker.main()) for worker in workers]
        stopping = asyncio.create_task(stop.wait())
        log.info("processor_ready", name=processor.name, slots=processor.settings.slots, model=processor.settings.model)
        await asyncio.wait([stopping, *polling, *background], return_when=asyncio.FIRST_COMPLETED)
        ended_by_itself = [task for task in (*polling, *background) if task.done()]
        for task in ended_by_itself:
            log.error("main_loop_ended", error=repr(task.exception()))
        stop.set()
        await _stop(processor, workers, [*polling, stopping], background)
    log.info("processor_stopped")
    return 1 if ended_by_itself else 0


async def _heartbeat(processor: Processor) -> None:
    outages = Outages(log, "heartbeat_failed", "heartbeat_recovered")
    every_s = processor.settings.lease_s / BEATS_PER_LEASE
    while True:
        await asyncio.sleep(min(PROGRESS_EVERY_S, every_s))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, every_s - PROGRESS_EVERY_S)):
                await processor.leases.progressed()
        try:
            await processor.leases.beat()
        except Exception as error:  # noqa: BLE001 - the next heartbeat extends the leases, or they are lost
            outages.failed(error)
        else:
            outages.worked()


async def _stop(
    processor: Processor,
    workers: list[PollingWorker],
    polling: list[asyncio.Task[Any]],
    background: list[asyncio.Task[None]],
) -> None:
    for worker in workers:
        worker.allow_pick_jobs = False
    await processor.leases.drain(processor.settings.grace_s)
    concluding = [task for worker in workers for task in worker.tasks.values()]
    if concluding:
        await asyncio.wait(concluding, timeout=processor.settings.grace_s)
    for task in (*polling, *background):
        task.cancel()
    await asyncio.wait([*polling, *background], timeout=CLOSE_S)  # do not wait for one that ignores its cancellation
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(processor.leader.resign(), CLOSE_S)
    closing = [asyncio.wait_for(worker.close(), CLOSE_S) for worker in workers]
    await asyncio.gather(*closing, return_exceptions=True)  # Redis may be unavailable; nothing is lost


class StopRequest(asyncio.Event):
    """Set by a signal, or when a main loop ended. A process that does not stop in time is ended by force."""

    def __init__(self, *, grace_s: float) -> None:
        super().__init__()
        self._within_s = 2 * grace_s + FORCED_EXIT_S

    def set(self) -> None:
        """Request the stop. Later calls have no effect."""
        if not self.is_set():
            super().set()
            asyncio.get_running_loop().call_later(self._within_s, _exit_now)


def _exit_now() -> None:
    """End the process with its stacks in the log. The leases expire, and other workers take over."""
    log.error("stop_took_too_long", tasks=[task.get_name() for task in asyncio.all_tasks()])
    faulthandler.dump_traceback()
    os._exit(1)
