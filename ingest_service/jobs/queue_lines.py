"""Where a job stands when tenants get fair shares, told from its own tenant's line and those of the others.

While it moves up by so many bytes, every other line does, too, as far as it is that long. This is the order of
`shared.queue.fair_shares` as if shares were dealt from now on: what Redis knows of turns taken is not asked for.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

# Of each tenant what waits: the jobs that nobody has begun with, and what no slot has of long files that are under way.
LINES = """
    WITH running AS (
        SELECT job_id, count(*) AS tasks FROM tasks WHERE state = 'running' AND kind = 'chunk' GROUP BY job_id
    ), waiting AS (
        SELECT tenant, 1 AS jobs, coalesce(source_bytes, 0)::float AS bytes, 0 AS chunk_bytes
        FROM jobs WHERE status = 'QUEUED'
        UNION ALL
        SELECT tenant, 0, 0, source_bytes * greatest(0, chunk_count - chunks_done - tasks)::float / chunk_count
        FROM jobs JOIN running ON jobs.id = running.job_id WHERE chunk_count > 0
    )
    SELECT tenant, sum(jobs) AS jobs, sum(bytes) AS bytes, coalesce(sum(chunk_bytes), 0) AS chunk_bytes
    FROM waiting GROUP BY tenant
"""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What waits of one tenant. Of a URL that was not fetched no bytes are known."""

    tenant: str
    jobs: int
    bytes: float  # of those jobs
    chunk_bytes: float  # of chunks; other jobs of the tenant go in between


class Place(msgspec.Struct, frozen=True):
    """A queued job's place, from 1, and how much work begins before its own."""

    position: int
    bytes_ahead: float


def lines_of(rows: Iterable[Any]) -> tuple[Line, ...]:
    """The lines in the rows of LINES."""
    return tuple(Line(**row) for row in rows)


def place_among(lines: Sequence[Line], tenant: str, jobs_ahead: int, bytes_ahead: float) -> Place:
    """The place of a job that has so many jobs, and bytes, of its own tenant ahead of it."""
    jobs, all_bytes = float(jobs_ahead), bytes_ahead
    for line in lines:
        if line.tenant == tenant:
            all_bytes += min(line.chunk_bytes, bytes_ahead)
            continue
        jobs += line.jobs * _part(line.bytes, bytes_ahead)
        all_bytes += min(line.bytes + line.chunk_bytes, bytes_ahead)
    return Place(1 + int(jobs), all_bytes)


def _part(line_bytes: float, passed: float) -> float:
    """How much of a line has had its turn once so many bytes of it may have had."""
    if passed <= 0:
        return 0
    return 1 if line_bytes <= passed else passed / line_bytes
