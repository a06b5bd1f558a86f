"""The text of a processor's `/metrics`: its counters, current gauges and the backlog."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from processor_service.compute.pool import ComputePool
from processor_service.telemetry.metrics import (
    CHILD_PEAK_BYTES,
    CHILDREN,
    CHILDREN_BYTES,
    METRIC_REGISTRY,
    POLL_AGE,
    POOL,
    SLOTS,
)
from shared.telemetry.backlog import BacklogReader
from shared.telemetry.expose_metrics import expose_metrics
from shared.telemetry.process_gauges import Pool

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
    kib = {name: int(text.split()[0]) for name, text in map(_field, status.splitlines()) if name in ("VmRSS", "VmHWM")}
    return ResidentMemory(kib.get("VmRSS", 0) * KIB, kib.get("VmHWM", 0) * KIB)


def _field(line: str) -> tuple[str, str]:
    name, _, text = line.partition(":")
    return name, text


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Sources(Protocol):
    """The parts of a processor with gauges."""

    @property
    def database(self) -> Pool: ...

    @property
    def compute(self) -> ComputePool: ...


async def show_metrics(sources: Sources, backlog: BacklogReader, poll_age_s: float) -> str:
    """Update the gauges and return the document."""
    POLL_AGE.set(poll_age_s)
    POOL.sample(sources.database)
    _sample_children(sources.compute)
    return expose_metrics(METRIC_REGISTRY.families, METRIC_REGISTRY.numbers) + await backlog.text()


def _sample_children(compute: ComputePool) -> None:
    SLOTS["used"].set(compute.busy)
    SLOTS["idle"].set(compute.slots - compute.busy)
    process_ids: Sequence[int] = compute.process_ids()
    memory = [resident_memory(process_id) for process_id in process_ids]
    CHILDREN.set(len(process_ids))
    CHILDREN_BYTES.set(sum(one.now_bytes for one in memory))
    CHILD_PEAK_BYTES.set(max((one.peak_bytes for one in memory), default=0))
