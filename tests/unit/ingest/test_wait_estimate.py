"""Positions in long queues: sums instead of walks, and estimates from spans of the queue."""

import random
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from ingest_service.jobs.wait_estimate import EXACT_JOBS, Queue, queues_of
from shared.queue.backlogs import Backlog, Backlogs


def walk(backlogs: Sequence[Backlog], tenant: str, jobs_ahead: int, bytes_ahead: float) -> tuple[float, float]:
    """Jobs and bytes ahead, tenant by tenant: the definition."""
    share = bytes_ahead + sum(min(one.chunk_bytes, bytes_ahead) for one in backlogs if one.tenant == tenant)
    jobs, size = float(jobs_ahead), share
    for one in backlogs:
        if one.tenant != tenant and share > 0:
            jobs += one.jobs * min(1.0, share / one.bytes if one.bytes else 1.0)
            size += min(one.bytes + one.chunk_bytes, share)
    return jobs, size


@pytest.mark.parametrize("seed", range(20))
def test_a_position_is_that_of_a_walk_over_all_tenants(seed: int) -> None:
    rng = random.Random(seed)
    backlogs = [
        Backlog(
            tenant=str(number),
            jobs=rng.randrange(50),
            bytes=rng.choice([0.0, rng.uniform(0, 1e9)]),
            chunk_bytes=rng.choice([0.0, rng.uniform(0, 1e9)]),
        )
        for number in range(rng.randrange(40))
    ]
    for tenant in ("0", "1", "unknown"):
        for bytes_ahead in (0.0, 1.0, 1e6, 5e8, 1e12):
            jobs, size = walk(backlogs, tenant, 7, bytes_ahead)
            found = Backlogs(backlogs).position(tenant, 7, bytes_ahead)
            assert abs(found.position - 1 - jobs) <= 1
            assert found.bytes_ahead == pytest.approx(size, abs=1)


def row(tenant: str, first: int, last: int, jobs: int, size: float) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "first_id": uuid.UUID(int=first),
        "last_id": uuid.UUID(int=last),
        "jobs": jobs,
        "bytes": size,
    }


def test_what_is_ahead_is_interpolated_in_the_span_of_the_job() -> None:
    rows = [row("a", 5000, 6000, 1000, 100.0), row("a", 1000, 2000, 1000, 500.0), row("b", 0, 9000, 9, 9.0)]
    queue = Queue(queues=queues_of(rows))
    expected = [(999, 200, 0.0), (1500, 500, 250.0), (3000, 1000, 500.0), (5500, 1500, 550.0), (9999, 2000, 600.0)]
    for number, jobs, size in expected:
        assert queue.ahead_of("a", uuid.UUID(int=number)) == (jobs, size)
    assert queue.ahead_of("unknown", uuid.UUID(int=5)) == (EXACT_JOBS, 0.0)  # more than the head of the queue
