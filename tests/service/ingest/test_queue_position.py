"""A queued job's position and wait, as the API shows them while tenants get fair shares."""

import pytest

from ingest_service.settings import IngestSettings
from shared.queue.backlogs import Backlog, Backlogs, QueuedWork, QueuePosition
from tests.support.ingest.records import start
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav


def backlog(tenant: str, jobs: int, size: float, chunk_bytes: float = 0) -> Backlog:
    return Backlog(tenant=tenant, jobs=jobs, bytes=size, chunk_bytes=chunk_bytes)


@pytest.mark.parametrize(
    ("backlogs", "position"),
    [
        ([], QueuePosition(4, 300)),
        ([backlog("own", 9, 900)], QueuePosition(4, 300)),  # what comes after it does not count
        ([backlog("longer", 1000, 100_000)], QueuePosition(7, 600)),  # its share is as large as ours
        ([backlog("shorter", 2, 50)], QueuePosition(6, 350)),  # all of it starts before
        ([backlog("ten hours", 0, 0, chunk_bytes=9000)], QueuePosition(4, 600)),
        (
            [backlog("own", 9, 900, chunk_bytes=9000)],
            QueuePosition(4, 600),
        ),  # the tenant's own long file gets half of its share
        ([backlog("urls", 5, 0)], QueuePosition(9, 300)),
    ],
)
def test_the_position_of_a_job_with_three_of_its_tenant_ahead(backlogs: list[Backlog], position: QueuePosition) -> None:
    assert Backlogs(backlogs).position("own", jobs_ahead=3, bytes_ahead=300) == position


def test_a_tenants_first_file_is_next_regardless_of_another_tenants_backlog() -> None:
    backlogs = Backlogs([backlog("thousand", 1000, 1e9)])
    assert backlogs.position("own", jobs_ahead=0, bytes_ahead=0) == QueuePosition(1, 0)


BUSY = Backlogs([backlog("own", 10, 1000), backlog("other", 10, 1000)])
CLIENTS = Backlogs([backlog("own", 5, 50), backlog("client", 5, 50)])


@pytest.mark.parametrize(
    ("interactive", "lead_bytes", "position"),
    [
        (False, 1000, QueuePosition(1 + 3 + 3 + 10, 700)),  # the class is ahead as a whole
        (False, 0, QueuePosition(1 + 3 + 3 + 10, 700)),  # at a rate of 1, too: 600 bytes are ahead in the backlog
        (True, 1000, QueuePosition(1 + 3 + 5, 350)),
        (True, 150, QueuePosition(1 + 3 + 5 + 2, 550)),  # 200 bytes of the class are beyond its lead
    ],
)
def test_the_position_in_both_classes(interactive: object, lead_bytes: float, position: QueuePosition) -> None:
    work = QueuedWork(backlog=BUSY, interactive=CLIENTS, rate=1.0)
    ahead = {"jobs_ahead": 3, "bytes_ahead": 300}
    assert work.position("own", **ahead, interactive=bool(interactive), lead_bytes=lead_bytes) == position


@pytest.mark.parametrize("jobs_ahead", [0, 3])
def test_without_interactive_jobs_a_position_is_that_in_the_backlog(jobs_ahead: int) -> None:
    found = QueuedWork(backlog=BUSY).position("own", jobs_ahead, 300, interactive=False, lead_bytes=1e9)
    assert found == BUSY.position("own", jobs_ahead, 300)


@pytest.fixture
def _always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.jobs.wait_estimate.MAX_AGE_S", -1)
    monkeypatch.setattr("ingest_service.jobs.wait_estimate.PAUSE_FACTOR", 0)


@pytest.mark.usefixtures("_always_fresh")
async def test_backlogs_are_read_from_the_database(ingest: Ingest) -> None:
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


@pytest.mark.usefixtures("_always_fresh")
async def test_a_job_that_a_client_waits_for_is_ahead_of_the_backlog(ingest: Ingest) -> None:
    backlog = [await ingest.submit(wav()) for _ in range(4)]
    urgent = [await ingest.submit(wav()) for _ in range(2)]
    await ingest.sql("UPDATE jobs SET interactive = true WHERE id = ANY($1::uuid[])", urgent)
    assert await positions(ingest, urgent) == [1, 2]
    assert await positions(ingest, backlog) == [3, 4, 5, 6]
    await ingest.sql("UPDATE jobs SET tenant = 'other' WHERE interactive")
    assert await positions(ingest, backlog) == [3, 4, 5, 6]


@pytest.mark.usefixtures("_always_fresh")
async def test_each_queue_has_its_own_positions_and_pace(settings: IngestSettings) -> None:
    async with serving(settings, queue_names=("gpu",)) as ingest:
        plain = [await ingest.submit(wav()) for _ in range(3)]
        gpu = [await ingest.submit(wav(), queue="gpu") for _ in range(2)]
        assert await positions(ingest, plain) == [1, 2, 3]
        assert await positions(ingest, gpu) == [1, 2]
        _, page = await ingest.get("/v1/jobs?status=QUEUED")
        assert [job["queue_position"] for job in page["jobs"]] == [2, 1, 3, 2, 1]  # newest first

        done = await ingest.submit(wav(), queue="gpu")  # a minute in ten seconds
        await ingest.sql(
            "UPDATE jobs SET status = 'COMPLETED', duration_s = 60, started_at = now() - interval '12 s', "
            "completed_at = now() - interval '2 s' WHERE id = $1",
            done,
        )
        assert await waits_s(ingest, plain) == [None] * 3  # no job of this queue was finished lately
        assert await waits_s(ingest, gpu) == pytest.approx([0, 10], abs=0.2)


async def waits_s(ingest: Ingest, job_ids: list[str]) -> list[float | None]:
    return [(await ingest.get(f"/v1/jobs/{job_id}"))[1]["estimated_wait_s"] for job_id in job_ids]


async def positions(ingest: Ingest, job_ids: list[str]) -> list[int]:
    return [(await ingest.get(f"/v1/jobs/{job_id}"))[1]["queue_position"] for job_id in job_ids]
