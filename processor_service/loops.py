"""The maintenance loops of a processor, and when each has its turn."""

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

import asyncpg

from processor_service.maintenance import erase
from processor_service.maintenance.due_times import DueTimes
from processor_service.maintenance.erase import Eraser, Retention
from processor_service.maintenance.expire import (
    UploadExpirer,
    fold_usage,
    forget_keys,
    forget_sessions,
    forget_source_headers,
)
from processor_service.maintenance.failed_chunks import ChunkBounds
from processor_service.maintenance.loop import Loop, run_forever
from processor_service.maintenance.reconcile import Pruner, Reconciler
from processor_service.maintenance.rescue import BATCH, Rescuer, wake
from processor_service.maintenance.scan_store import EVERY_S, StoreScan
from processor_service.maintenance.slices import SliceKeeper
from processor_service.maintenance.storage import DIRECT_AGE_S, DirectCollector, OrphanCollector, PartCollector
from processor_service.maintenance.watch import IN_REDIS_EVERY_S, OVERDUE_EVERY_S, find_overdue, watch
from processor_service.maintenance.webhook_log import keep_webhook_log
from processor_service.stages.keep_voices import VoiceKeeper
from processor_service.tasks import unprovided_summaries
from processor_service.tasks.execute import DEAD_LETTERS, run_summary
from processor_service.tasks.processor import Processor
from processor_service.tasks.unprovided_summaries import UnprovidedSummaries
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.blobs.inventory import Inventory
from shared.queue.dispatch import Dispatch
from shared.schemas.states import TaskKind

SLICES_EVERY_S = 600.0  # they are made days ahead
SLOW_LOOPS = 2  # that walk through the store at once, each with a connection


def maintain(processor: Processor) -> list[Coroutine[Any, Any, None]]:
    """Return what runs beside the workers: the looks of the leader, and every loop."""
    pruner = Pruner(processor.redis)
    loops = [run_forever(processor.database, processor.redis, loop) for loop in _loops(processor, pruner)]
    looks = [processor.leader.run(), *_watches(processor, pruner)]
    return [*looks, *loops, *_voices(processor), *_summaries(processor)]


def _watches(processor: Processor, pruner: Pruner) -> list[Coroutine[Any, Any, None]]:
    orphan_age_s = processor.settings.orphan_age_s

    async def find_in_redis() -> list[str]:
        changed, waiting = await processor.dead_letters.are_changed(), await pruner.has_work()
        return [name for name, has_work in ((DEAD_LETTERS, changed), ("prune", waiting)) if has_work]

    return [
        watch(
            processor.leader,
            min(orphan_age_s, OVERDUE_EVERY_S),
            partial(find_overdue, processor.database, orphan_age_s=orphan_age_s),
        ),
        watch(processor.leader, IN_REDIS_EVERY_S, find_in_redis),
    ]


def _voices(processor: Processor) -> list[Coroutine[Any, Any, None]]:
    """In every processor that keeps voices: each may have the nets, or not."""
    if not processor.settings.voices:
        return []
    keeper = VoiceKeeper(
        database=processor.database,
        compute=processor.compute,
        blobs=processor.blobs,
        models=processor.models,
        scratch=processor.scratch,
        settings=processor.settings,
    )
    return [keeper.run()]


def _summaries(processor: Processor) -> list[Coroutine[Any, Any, None]]:
    """In every processor without chat providers, for what no other processor can summarize."""
    if processor.settings.chat_providers:
        return []

    async def end(dispatch: Dispatch) -> None:
        await run_summary({"processor": processor}, str(dispatch.task_id), dispatch.dispatch_no)

    return [UnprovidedSummaries(processor.redis, end).run(processor.leader.every(unprovided_summaries.EVERY_S))]


def _loops(processor: Processor, pruner: Pruner) -> list[Loop]:
    settings, blobs, slow = processor.settings, processor.blobs, asyncio.Semaphore(SLOW_LOOPS)
    every, asked = processor.leader.every, processor.leader.asked
    retention = Retention(
        jobs_s=settings.retention_s, audio_s=settings.retention_audio_s, webhook_log_s=settings.retention_webhook_log_s
    )
    orphans, parts, direct = _scans(processor)
    scan_every_s = min(settings.orphan_age_s, EVERY_S)
    bounds = ChunkBounds(kept_s=settings.failed_chunks_s, most_bytes=settings.failed_chunks_bytes)
    collector = OrphanCollector(processor.database, blobs, orphans, failed=bounds)
    eraser = Eraser(blobs, retention, lease_s=settings.lease_s)
    idle_s = erase.EVERY_S if settings.retention_audio_s else 60.0  # a look does not find old audio
    slices = SliceKeeper(tombstones_s=settings.retention_tombstones_s, webhook_log_s=settings.retention_webhook_log_s)
    rescuer = Rescuer(processor.database, processor.policy(TaskKind.CHUNK), processor.hints.changed)
    return [
        # In every processor: each knows the due times of the tasks that it made wait.
        Loop("wake", partial(_wake, processor.due), processor.due.reached, exclusive=False),
        Loop("rescue", rescuer, asked("rescue")),
        Loop("reconcile", Reconciler(processor.redis), asked("reconcile", pause_s=2)),
        Loop("prune", pruner, asked("prune")),
        Loop(DEAD_LETTERS, processor.dead_letters, asked(DEAD_LETTERS, idle_s=60)),  # if a run failed
        Loop("erase", eraser, asked("erase", pause_s=erase.EVERY_S, idle_s=idle_s), slow),
        Loop("idempotency_keys", forget_keys, asked("idempotency_keys")),
        Loop("sessions", forget_sessions, asked("sessions")),
        Loop("usage", fold_usage, asked("usage")),
        Loop("webhook_tests", processor.event_tests, asked("webhook_tests")),
        Loop("result_writes", processor.results, asked("result_writes")),
        Loop("source_headers", forget_source_headers, asked("source_headers")),
        Loop("webhook_log", keep_webhook_log, asked("webhook_log")),
        Loop("slices", slices, every(SLICES_EVERY_S)),
        Loop("uploads", UploadExpirer(blobs), asked("uploads"), slow),
        Loop("orphans", collector, asked("orphans", pause_s=scan_every_s), slow),
        Loop("upload_parts", PartCollector(blobs, parts), asked("upload_parts", pause_s=scan_every_s), slow),
        Loop("direct_uploads", DirectCollector(blobs, direct), asked("direct_uploads", pause_s=scan_every_s), slow),
    ]


def _scans(processor: Processor) -> list[StoreScan]:
    """Return the scans of the three parts of the store."""
    settings, blobs = processor.settings, processor.blobs
    inventory = None
    if settings.storage_inventory:
        folder = BlobStore(settings.storage_inventory, min_free_bytes=settings.min_free_bytes)
        inventory = Inventory(folder, key_prefix=blobs.key_prefix)
    ages_s = {
        blob_keys.ALL_JOBS: settings.orphan_age_s,
        blob_keys.ALL_UPLOADS: settings.orphan_age_s,
        blob_keys.ALL_DIRECT: DIRECT_AGE_S,
    }
    return [
        StoreScan(blobs, prefix, older_than_s=age_s, again_after_s=settings.orphan_age_s, inventory=inventory)
        for prefix, age_s in ages_s.items()
    ]


async def _wake(due: DueTimes, connection: asyncpg.Connection) -> list[Dispatch]:
    dispatches = await wake(connection)
    if len(dispatches) == BATCH:  # more may be due
        due.add(0.0)
    return dispatches
