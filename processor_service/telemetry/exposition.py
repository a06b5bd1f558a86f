"""The text of a processor's `/metrics`: its counters, current gauges and the backlog."""

from collections.abc import Sequence
from pathlib import Path

import asyncpg
import msgspec

from processor_service.compute.pool import ComputePool
from processor_service.telemetry import metrics
from shared.telemetry.backlog import BacklogReader
from shared.telemetry.expose_metrics import expose_metrics

KIB = 1024


class ResidentMemory(msgspec.Struct, frozen=True):
    """The resident memory of a process: current, and the peak since its start."""

    now_bytes: int = 0
    peak_bytes: int = 0


def resident_memory(process_id: int) -> ResidentMemory:
    """Read the resident memory of a process from /proc. Zeros if it has ended or the system is not Linux."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return ResidentMemory()
    fields = (line.split() for line in status.splitlines())
    kib = {name: int(values[0]) for name, *values in fields if name in ("VmRSS:", "VmHWM:")}
    return ResidentMemory(kib.get("VmRSS:", 0) * KIB, kib.get("VmHWM:", 0) * KIB)


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def show_metrics(pool: asyncpg.Pool, compute: ComputePool, backlog: BacklogReader, poll_age_s: float) -> str:
    """Update the gauges and return the document."""
    metrics.POLL_AGE.set(poll_age_s)
    metrics.POOL.sample(pool)
    _sample_children(compute)
    return expose_metrics(metrics.METRIC_REGISTRY.families, metrics.METRIC_REGISTRY.numbers) + await backlog.text()


def _sample_children(compute: ComputePool) -> None:
    metrics.SLOTS["used"].set(compute.busy)
    metrics.SLOTS["idle"].set(compute.slots - compute.busy)
    process_ids: Sequence[int] = compute.process_ids()
    memory = [resident_memory(process_id) for process_id in process_ids]
    metrics.CHILDREN.set(len(process_ids))
    metrics.CHILDREN_BYTES.set(sum(one.now_bytes for one in memory))
    metrics.CHILD_PEAK_BYTES.set(max((one.peak_bytes for one in memory), default=0))
