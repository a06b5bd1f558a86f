"""Lists are bounded in bytes, and clients that do not read cannot fill the memory."""

from contextlib import AsyncExitStack
from typing import Any

import pytest

from ingest_service.jobs.pages import MAX_PAGE_BYTES
from ingest_service.jobs.webhooks import MOST_ATTEMPTS
from ingest_service.middleware import bounded_answers
from ingest_service.middleware.bounded_answers import PIECE_BYTES, HeldAnswer, HeldAnswers
from ingest_service.settings import IngestSettings
from shared.schemas.states import JobStatus
from tests.support.ingest import records
from tests.support.ingest.raw_http import connected, head
from tests.support.ingest.scraping import scrape
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav

JOB_BYTES = 1000  # of a job without metadata
MIB = 1 << 20

# A page may be larger than its rows in Postgres by the JSON's names.
MOST_BYTES = MAX_PAGE_BYTES + 201 * JOB_BYTES

INSERT_JOBS = """
    INSERT INTO jobs (id, options, container, source_bytes, source_sha256, metadata)
    SELECT gen_random_uuid(), '{}', 'wav', 1, 'x', to_json(repeat('x', $2))
    FROM generate_series(1, $1::int)
"""
INSERT_DEAD = """
    INSERT INTO tasks (id, job_id, kind, state, finished_at, first_failed_at, last_failed_at, failure)
    SELECT gen_random_uuid(), id, 'prepare', 'dead', now(), now(), now(),
           json_build_object('code', 'internal', 'message', 'm', 'traceback', repeat('x', $1))
    FROM jobs
"""
INSERT_ATTEMPTS = """
    INSERT INTO webhook_attempts (event_id, task_id, status, answer)
    SELECT webhook_events.id, tasks.id, number, repeat('x', 10000)
    FROM webhook_events, tasks, generate_series(1, $1::int) AS number WHERE kind = 'deliver' ORDER BY number
"""


async def page(ingest: Ingest, path: str, **query: str) -> tuple[int, dict[str, Any]]:
    """The size of an answer, and its content."""
    async with ingest.client.get(ingest.url + path, params=query) as answer:
        body = await answer.read()
        assert answer.status == 200, body
        return len(body), await answer.json()


async def walk(ingest: Ingest, path: str, name: str) -> list[list[Any]]:
    pages = []
    query = {"limit": "200"}
    while True:
        size, found = await page(ingest, path, **query)
        assert size <= MOST_BYTES
        assert found[name]
        pages.append(found[name])
        if found["next_cursor"] is None:
            return pages
        query["cursor"] = found["next_cursor"]


@pytest.mark.parametrize(("jobs", "metadata_bytes", "pages"), [(200, 10, 1), (201, 10, 2), (200, 16_000, 4)])
async def test_a_page_of_jobs_ends_early(ingest: Ingest, jobs: int, metadata_bytes: int, pages: int) -> None:
    await ingest.sql(INSERT_JOBS, jobs, metadata_bytes)
    found = await walk(ingest, "/v1/jobs", "jobs")
    ids = [job["job_id"] for each in found for job in each]
    assert len(found) == pages
    assert len(ids) == jobs
    assert ids == sorted(ids, reverse=True)


async def test_jobs_of_old_versions_with_large_metadata_come_one_by_one(ingest: Ingest) -> None:
    await ingest.sql(INSERT_JOBS, 3, 2 * MIB)
    _, first = await page(ingest, "/v1/jobs")
    assert len(first["jobs"]) == 1
    _, second = await page(ingest, "/v1/jobs", cursor=first["next_cursor"])
    assert (len(second["jobs"]), second["next_cursor"] is None) == (1, False)
    _, third = await page(ingest, "/v1/jobs", cursor=second["next_cursor"])
    assert (len(third["jobs"]), third["next_cursor"]) == (1, None)


async def test_a_page_of_dead_letters_ends_early_and_all_are_redriven(ingest: Ingest) -> None:
    await ingest.sql(INSERT_JOBS, 60, 1)
    await ingest.sql("UPDATE jobs SET status = 'FAILED'")
    await ingest.sql(INSERT_DEAD, 50_000)
    found = await walk(ingest, "/v1/dead-letters", "dead_letters")
    assert len(found) > 2
    assert len({letter["job_id"] for each in found for letter in each}) == 60
    assert (await ingest.post(None, path="/v1/dead-letters/redrive"))[1] == {"redriven": 60}


@pytest.mark.parametrize(("attempts", "shown"), [(5, 5), (2000, None)])
async def test_webhook_attempts_are_the_newest_that_fit(ingest: Ingest, attempts: int, shown: int | None) -> None:
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK)
    await records.end_job(ingest, job_id, JobStatus.COMPLETED)
    await ingest.sql(INSERT_ATTEMPTS, attempts)
    size, found = await page(ingest, f"/v1/jobs/{job_id}/webhook-attempts")
    numbers = [attempt["status"] for attempt in found["attempts"]]
    assert size <= MOST_BYTES
    assert 0 < len(numbers) <= MOST_ATTEMPTS
    assert shown is None or len(numbers) == shown
    assert numbers == list(range(attempts - len(numbers) + 1, attempts + 1))


BOUNDED = {  # by what: rows of a bounded size, or the page
    "/v1/jobs": "page_of",
    "/v1/dead-letters": "page_of",
    "/v1/jobs/{job_id}/webhook-attempts": "page_of",
    "/v1/jobs/{job_id}/work": "page_of",
    "/v1/webhooks/attempts": "page_of",
    "/v1/webhooks/endpoints": "16 rows",
    "/v1/webhooks/endpoints/{endpoint_id}": "one row",
    "/v1/dead-letters/counts": "the failure codes",
    "/v1/keys": "400 rows",
    "/v1/voices": "200 rows",
    "/v1/vocabulary": "64 KiB",
    "/v1/session": "scopes: their number",
    "/v1/usage": "366 days",
    "/v1/queue": "200 tenants",
    "/v1/queue/history": "a day of minutes",
    "/v1/alerts": "the rules of a file, for at most 200 services",
    "/v1/models": "the names in the settings and of the models that processors announce",
    "/v1/jobs/counts": "a number for each status",
    "/v1/events": "at most 500 jobs a client",
    "/v1/jobs/{job_id}": "one job",
    "/v1/jobs/{job_id}/transcript": "sent in pieces",
    "/v1/jobs/{job_id}/transcript/search": "200 hits, each with at most some dozen words",
    "/v1/search": "50 hits, each with some hundred characters",
    "/v1/jobs/{job_id}/peaks": "sent in pieces",
    "/v1/jobs/{job_id}/transcript/edits": "100 rows",
    "/v1/jobs/{job_id}/transcript/edits/{version}": "one version, of a body of at most 2 MiB",
}


async def test_every_route_that_returns_a_list_is_bounded(ingest: Ingest) -> None:
    _, document = await ingest.get("/schema/openapi.json")
    schemas = document["components"]["schemas"]

    def has_list(schema: dict[str, Any]) -> bool:
        name = schema.get("$ref", "").rpartition("/")[2]
        properties = schemas[name].get("properties", {}) if name else {}
        return any(each.get("type") == "array" for each in properties.values())

    found = {
        path
        for path, methods in document["paths"].items()
        for answer in methods.get("get", {}).get("responses", {}).values()
        if has_list(answer.get("content", {}).get("application/json", {}).get("schema", {}))
    }
    assert found - {"/health/ready"} <= set(BOUNDED)
    assert {path for path, by in BOUNDED.items() if by == "page_of"} <= found


async def test_clients_that_do_not_read_are_disconnected(
    settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_answers, "GRACE_S", 0.0)
    async with serving(settings, unread_answer_bytes=4 * MIB) as ingest, AsyncExitStack() as stack:
        await ingest.sql(INSERT_JOBS, 8, 16 * MIB // 100)
        await ingest.sql("UPDATE jobs SET metadata = to_json(repeat('x', 8 * 1024 * 1024))")
        readers = []
        for _ in range(5):
            reader, writer = await stack.enter_async_context(connected(ingest))
            reader._transport.pause_reading()  # type: ignore[attr-defined] # a client that does not read
            writer.write(head(line="GET /v1/jobs?limit=1 HTTP/1.1"))
            readers.append(reader)

        async def aborted() -> bool:
            return (await scrape(ingest)).get("answers_aborted_total") >= 5

        await until(aborted)
        assert await ingest.submit(wav())
        async with ingest.client.get(f"{ingest.url}/schema/openapi.json") as answer:
            assert len(await answer.read()) > PIECE_BYTES


class Clock:
    def __init__(self) -> None:
        self.aborted: list[str] = []

    def answer(self, tenant: str, size: int, name: str) -> HeldAnswer:
        return HeldAnswer(tenant, size, lambda: self.aborted.append(name))


async def test_the_tenant_with_the_most_unread_bytes_loses_its_oldest_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_answers, "GRACE_S", 0.0)
    held, clients = HeldAnswers(100), Clock()
    held.add(clients.answer("small", 30, "oldest of all"))
    held.add(first := clients.answer("large", 30, "oldest of large"))
    held.add(clients.answer("large", 40, "second"))
    assert clients.aborted == []
    held.add(clients.answer("small", 20, "newest"))
    assert clients.aborted == ["oldest of large"]
    assert (first.is_aborted, held.bytes) == (True, 90)
    held.remove(first)  # its sender ends
    assert held.bytes == 90


async def test_no_answer_is_given_up_within_the_grace_period() -> None:
    held, clients = HeldAnswers(100), Clock()
    held.add(answer := clients.answer("one", 1000, "first"))
    assert clients.aborted == []
    held.remove(answer)
    assert held.bytes == 0
