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
from processor_service.maintenance.webhook_log import keep_webhook_log
from processor_service.stages.keep_voices import VoiceKeeper
from processor_service.tasks import unprovided_summaries
from processor_service.tasks.execute import DEAD_LETTERS, Processor, run_summary
from processor_service.tasks.unprovided_summaries import UnprovidedSummaries
from shared.blobs import blob_keys
from shared.blobs.blob_store import BlobStore
from shared.blobs.inventory import Inventory
from shared.queue.dispatch import Dispatch
from shared.schemas.states import TaskKind

SLOW_LOOPS = 2  # that walk through the store at once, each with a connection


def maintain(processor: Processor) -> list[Coroutine[Any, Any, None]]:
    """Return what runs beside the workers: the looks of the leader, and every loop."""
    loops = [run_forever(processor.database, processor.redis, loop) for loop in _loops(processor)]
    return [processor.leader.run(), *loops, *_voices(processor), *_summaries(processor)]


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


def _loops(processor: Processor) -> list[Loop]:
    settings, blobs, slow = processor.settings, processor.blobs, asyncio.Semaphore(SLOW_LOOPS)
    every, asked = processor.leader.every, processor.leader.asked
    retention = Retention(
        jobs_s=settings.retention_s, audio_s=settings.retention_audio_s, webhook_log_s=settings.retention_webhook_log_s
    )
    orphans, parts, direct = _scans(processor)
    scan_every_s = min(settings.orphan_age_s, EVERY_S)
    bounds = ChunkBounds(kept_s=settings.failed_chunks_s, most_bytes=settings.failed_chunks_bytes)
    eraser = Eraser(blobs, retention, lease_s=settings.lease_s)
    idle_s = erase.EVERY_S if settings.retention_audio_s else 60.0  # a look does not find old audio
    slices = SliceKeeper(tombstones_s=settings.retention_tombstones_s, webhook_log_s=settings.retention_webhook_log_s)
    rescuer = Rescuer(processor.database, processor.policy(TaskKind.CHUNK), processor.hints.changed)
    return [
        # In every processor: each knows the due times of the tasks that it made wait.
        Loop("wake", partial(_wake, processor.due), processor.due.reached, exclusive=False),
        Loop("rescue", rescuer, asked("rescue")),
        Loop("reconcile", Reconciler(processor.redis), asked("reconcile", pause_s=2)),
        Loop("prune", Pruner(processor.redis), every(10)),
        Loop(DEAD_LETTERS, processor.dead_letters, asked("dead_letters", idle_s=10)),
        Loop("erase", eraser, asked("erase", pause_s=erase.EVERY_S, idle_s=idle_s), slow),
        Loop("idempotency_keys", forget_keys, every(60)),
        Loop("sessions", forget_sessions, every(60)),
        Loop("usage", fold_usage, every(60)),
        Loop("webhook_tests", processor.event_tests, asked("webhook_tests")),
        Loop("result_writes", processor.results, asked("result_writes")),
        Loop("source_headers", forget_source_headers, every(60)),
        Loop("webhook_log", keep_webhook_log, every(60)),
        Loop("slices", slices, every(60)),
        Loop("orphans", OrphanCollector(processor.database, blobs, orphans, failed=bounds), every(scan_every_s), slow),
        Loop("uploads", UploadExpirer(blobs), every(30), slow),
        Loop("upload_parts", PartCollector(blobs, parts), every(scan_every_s), slow),
        Loop("direct_uploads", DirectCollector(blobs, direct), every(scan_every_s), slow),
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
