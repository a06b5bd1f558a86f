"""A job's event stream: each change once, in order, to the end; a client that reconnects continues."""

import pytest

from ingest_service.settings import IngestSettings
from shared.ids import new_id
from shared.schemas.failures import FailureCode
from shared.secret import Secret
from tests.support.ingest import records
from tests.support.ingest.following import following
from tests.support.ingest.proxy import proxied
from tests.support.ingest.scraping import scrape
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav

SET_PROGRESS = "UPDATE tasks SET progress = $2 WHERE id = $1"
END_CHUNK = "UPDATE tasks SET state = 'done' WHERE id = $1"
COUNT_CHUNK = "UPDATE jobs SET chunks_done = chunks_done + 1 WHERE id = $1"


async def change(ingest: Ingest, job_id: str, query: str, *arguments: object) -> None:
    """Change a job as the processor does: commit, then publish a hint."""
    await ingest.sql(query, *arguments)
    await ingest.hint(job_id)


async def listeners(ingest: Ingest) -> float:
    return (await scrape(ingest)).get("event_listeners")


async def test_a_job_links_to_its_events(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    _, job = await ingest.get(f"/v1/jobs/{job_id}")
    assert job["links"]["events"] == f"/v1/jobs/{job_id}/events"


async def test_the_first_event_comes_at_once_and_is_not_buffered(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    async with following(ingest, job_id) as stream:
        assert stream.answer.headers["Content-Type"].startswith("text/event-stream")
        assert stream.answer.headers["Cache-Control"] == "no-cache"
        assert stream.answer.headers["X-Accel-Buffering"] == "no"
        first = await stream.next()
        assert (await stream.other()).startswith("retry: ")
    assert first.data == {
        "job_id": job_id,
        "status": "QUEUED",
        "stage": "prepare",
        "progress": 0.0,
        "chunks_done": 0,
        "chunk_count": 0,
    }


async def test_a_short_job_is_followed_to_its_end(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    (task,) = await records.tasks_of(ingest, job_id)
    async with following(ingest, job_id) as stream:
        seen = [await stream.next()]
        await records.start(ingest, job_id)
        seen.append(await stream.next())
        for progress in (0.25, 0.5):
            await change(ingest, job_id, SET_PROGRESS, task["id"], progress)
            seen.append(await stream.next())
        await records.complete(ingest, job_id)
        seen.append(await stream.next())
        await stream.ends()
    assert [event.seen for event in seen] == [
        ("QUEUED", "prepare", 0),
        ("PROCESSING", "prepare", 0),
        ("PROCESSING", "prepare", 0.25),
        ("PROCESSING", "prepare", 0.5),
        ("COMPLETED", "prepare", 1),
    ]
    assert len({event.id for event in seen}) == len(seen)


async def test_progress_grows_by_windows_and_by_finished_chunks(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    chunks = await records.cut(ingest, job_id, "running", "running", "dispatched", "dispatched")
    async with following(ingest, job_id) as stream:
        seen = [await stream.next()]
        for query, arguments in [
            (SET_PROGRESS, (chunks[0], 0.5)),
            (SET_PROGRESS, (chunks[1], 0.5)),
            (END_CHUNK, (chunks[0],)),
            (COUNT_CHUNK, (job_id,)),
        ]:
            await change(ingest, job_id, query, *arguments)
            seen.append(await stream.next())
        _, job = await ingest.get(f"/v1/jobs/{job_id}")
    assert [event.data["progress"] for event in seen] == [0.1, 0.206, 0.312, 0.419, 0.419]
    assert [event.data["chunks_done"] for event in seen] == [0, 0, 0, 0, 1]
    assert {event.data["chunk_count"] for event in seen} == {4}
    assert job["progress"] == seen[-1].data["progress"]


@pytest.mark.parametrize("end", ["FAILED", "CANCELLED"])
async def test_every_final_state_is_sent_and_ends_the_stream(ingest: Ingest, end: str) -> None:
    job_id = await ingest.submit(wav())
    async with following(ingest, job_id) as stream:
        await stream.next()
        if end == "FAILED":
            await records.fail(ingest, job_id)
        else:
            await ingest.post(b"", f"/v1/jobs/{job_id}/cancel")
        assert (await stream.next()).data["status"] == end
        await stream.ends()


async def test_a_reconnecting_client_gets_new_states_only(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    async with following(ingest, job_id) as stream:
        queued = await stream.next()
    async with following(ingest, job_id, queued.id) as stream:
        await stream.other()  # the stream is open, without the known state
        await records.start(ingest, job_id)
        started = await stream.next()
    assert started.data["status"] == "PROCESSING"
    async with following(ingest, job_id, queued.id) as stream:
        assert await stream.next() == started


async def test_a_client_that_has_the_final_state_gets_204(ingest: Ingest) -> None:
    job_id = await records.failed(ingest, FailureCode.TIMEOUT)
    async with following(ingest, job_id) as stream:
        end = await stream.next()
        await stream.ends()
    url = f"{ingest.url}/v1/jobs/{job_id}/events"
    async with ingest.client.get(url, headers={"Last-Event-ID": end.id}) as answer:
        assert (answer.status, await answer.read()) == (204, b"")
    assert (await ingest.post(b"", f"/v1/dead-letters/{job_id}/redrive"))[0] == 202
    async with following(ingest, job_id, end.id) as stream:
        assert (await stream.next()).data["status"] == "QUEUED"


async def test_an_unknown_last_event_id_is_ignored(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    async with following(ingest, job_id, "nonsense \u2603".encode().decode("latin-1")) as stream:
        assert (await stream.next()).data["status"] == "QUEUED"


@pytest.mark.parametrize("job_id", ["nonsense", str(new_id())], ids=["nonsense", "unknown"])
async def test_an_unknown_job_is_404(ingest: Ingest, job_id: str) -> None:
    status, problem = await ingest.get(f"/v1/jobs/{job_id}/events")
    assert (status, problem["code"]) == (404, "not_found")


async def test_another_tenants_job_is_404(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await ingest.sql("UPDATE jobs SET tenant = 'other' WHERE id = $1", job_id)
    assert (await ingest.get(f"/v1/jobs/{job_id}/events"))[0] == 404


async def test_an_erased_job_is_410_and_its_streams_end(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    async with following(ingest, job_id) as stream:
        await stream.next()
        assert await ingest.delete(f"/v1/jobs/{job_id}") == 204
        assert (await stream.next()).data["status"] == "CANCELLED"
        await stream.ends()
    status, problem = await ingest.get(f"/v1/jobs/{job_id}/events")
    assert (status, problem["code"]) == (410, "job_erased")


async def test_a_deleted_row_ends_the_stream(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    async with following(ingest, job_id) as stream:
        await stream.next()
        await change(ingest, job_id, "DELETE FROM jobs WHERE id = $1", job_id)
        await stream.ends()


async def test_an_idle_stream_sends_comments(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.jobs.events.HEARTBEAT_S", 0.05)
    job_id = await ingest.submit(wav())
    async with following(ingest, job_id) as stream:
        await stream.next()
        assert (await stream.other()).startswith("retry: ")
        assert [await stream.other() for _ in range(3)] == [":\n\n"] * 3
        await records.start(ingest, job_id)
        assert (await stream.next()).data["status"] == "PROCESSING"


async def test_a_disconnected_client_is_noticed(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())

    async def left(count: int) -> bool:
        return await listeners(ingest) == count

    async with following(ingest, job_id) as one:
        await one.next()
        async with following(ingest, job_id) as other:
            await other.next()
            assert await left(2)
            other.answer.close()
            await until(lambda: left(1))
        await records.start(ingest, job_id)
        assert (await one.next()).data["status"] == "PROCESSING"
        one.answer.close()
    await until(lambda: left(0))


async def test_a_stream_survives_an_outage_of_postgres(settings: IngestSettings) -> None:
    async with (
        proxied(settings.database_url.reveal()) as postgres,
        serving(settings, database_url=Secret(postgres.url)) as ingest,
    ):
        job_id = await ingest.submit(wav())
        async with following(ingest, job_id) as stream:
            await stream.next()
            await postgres.close()
            outages = (await scrape(ingest)).get("database_outages_total")

            async def is_noticed() -> bool:
                return (await scrape(ingest)).get("database_outages_total") >= outages + 2

            await until(is_noticed)
            status, problem = await ingest.get(f"/v1/jobs/{job_id}/events")
            assert (status, problem["code"]) == (503, "database_unavailable")
            await records.start(Ingest(settings, ingest.url, ingest.client), job_id)  # past the proxy
            await postgres.open()
            assert (await stream.next()).data["status"] == "PROCESSING"
