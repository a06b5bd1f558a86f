"""Where a job stands in the queue when tenants get fair shares."""

import pytest

from ingest_service.jobs.wait_estimate import Line, Place, place_among
from tests.ingest.records import start
from tests.ingest.serving import Ingest
from tests.ingest.sounds import wav


def line(tenant: str, jobs: int, length: float, chunk_bytes: float = 0) -> Line:
    return Line(tenant=tenant, jobs=jobs, bytes=length, chunk_bytes=chunk_bytes)


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ([], Place(4, 300)),
        ([line("own", 9, 900)], Place(4, 300)),  # what is behind it does not matter
        ([line("longer", 1000, 100_000)], Place(7, 600)),  # it moves up as far as ours
        ([line("shorter", 2, 50)], Place(6, 350)),  # all of it begins before
        ([line("ten hours", 0, 0, chunk_bytes=9000)], Place(4, 600)),
        ([line("own", 9, 900, chunk_bytes=9000)], Place(4, 600)),  # the tenant's long file gets its half
        ([line("urls", 5, 0)], Place(9, 300)),
    ],
)
def test_the_place_of_a_job_behind_three_of_its_tenant(lines: list[Line], place: Place) -> None:
    assert place_among(lines, "own", jobs_ahead=3, bytes_ahead=300) == place


def test_a_tenants_first_file_is_next_however_many_another_has() -> None:
    assert place_among([line("thousand", 1000, 1e9)], "own", jobs_ahead=0, bytes_ahead=0) == Place(1, 0)


@pytest.fixture
def _always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.jobs.wait_estimate.FRESH_S", -1)


@pytest.mark.usefixtures("_always_fresh")
async def test_lines_are_read_from_the_record(ingest: Ingest) -> None:
    theirs = [await ingest.submit(wav()) for _ in range(4)]
    await ingest.sql("UPDATE jobs SET tenant = 'other'")
    ours = [await ingest.submit(wav()) for _ in range(3)]
    assert await positions(ingest, ours) == [1, 3, 5]
    await ingest.sql("UPDATE jobs SET source_bytes = source_bytes * 10 WHERE tenant = 'other'")
    assert await positions(ingest, ours) == [1, 2, 3]

    done = await ingest.submit(wav())  # a minute in ten seconds
    await ingest.sql(
        "UPDATE jobs SET status = 'COMPLETED', duration_s = 60, started_at = now() - interval '12 s', "
        "completed_at = now() - interval '2 s' WHERE id = $1",
        done,
    )
    for their in theirs:
        await start(ingest, their)
    await ingest.sql(
        "UPDATE jobs SET duration_s = 600, chunk_count = 10, source_bytes = source_bytes * 10 WHERE tenant = 'other'"
    )
    await ingest.sql("UPDATE tasks SET kind = 'chunk' WHERE state = 'running'")
    _, job = await ingest.get(f"/v1/jobs/{ours[1]}")
    # 60 s of each of their four chunks that run, and one of our files each of ours and theirs: 360 s at 6 a second
    assert job["estimated_wait_s"] == pytest.approx(60, abs=0.2)


async def positions(ingest: Ingest, job_ids: list[str]) -> list[int]:
    return [(await ingest.get(f"/v1/jobs/{job_id}"))[1]["queue_position"] for job_id in job_ids]
