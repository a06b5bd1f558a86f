"""`/v1/webhooks/attempts`: the delivery attempts of all jobs of a tenant, newest first, filtered and by pages."""

from typing import Any

import asyncpg
import msgspec
import pytest

from ingest_service.jobs import webhook_log
from ingest_service.jobs.webhook_log import decode_attempt_cursor, encode_attempt_cursor
from ingest_service.settings import IngestSettings
from tests.support.ingest import records
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

PATH = "/v1/webhooks/attempts"
ATTEMPT = """
    INSERT INTO webhook_attempts (event_id, task_id, tenant, attempted_at, duration_ms, status, answer)
    SELECT e.id, t.id, j.tenant, $2::text::timestamptz, $3, $4, 'They said'
    FROM jobs j JOIN webhook_events e ON e.job_id = j.id JOIN tasks t ON t.job_id = j.id AND t.kind = 'deliver'
    WHERE j.id = $1
"""
# The attempts of a tenant with 100,000, of which each tenth failed, and of a small tenant that began before it.
MANY = """
    INSERT INTO webhook_attempts (event_id, task_id, tenant, attempted_at, duration_ms, status, answer)
    SELECT e.id, t.id, j.tenant, now() - number * interval '1 s', 5,
           CASE WHEN number % 10 = 0 THEN 500 ELSE 200 END, 'ok'
    FROM jobs j JOIN webhook_events e ON e.job_id = j.id JOIN tasks t ON t.job_id = j.id AND t.kind = 'deliver',
        generate_series(1, $2) AS number
    WHERE j.id = $1
"""
MOST_ROWS = 1_000  # that a page reads, whatever the tenant and the other tenants have


async def completed(ingest: Ingest, **headers: str) -> str:
    """A COMPLETED job with an event and its deliver task."""
    options = {"webhook_url": "https://hooks.example/secret-token?key=abc", "metadata": '{"order":7}'}
    status, job = await ingest.post(wav(), params=options, headers=WAV_TYPE | headers)
    assert status == 202
    await records.complete(ingest, job["job_id"])
    return str(job["job_id"])


async def listed(ingest: Ingest, **query: Any) -> list[dict[str, Any]]:
    status, page = await ingest.get(PATH, params={name: str(value) for name, value in query.items()})
    assert status == 200, page
    found: list[dict[str, Any]] = page["attempts"]
    return found


async def test_the_log_has_the_attempts_of_all_jobs_newest_first(ingest: Ingest) -> None:
    first, second = await completed(ingest), await completed(ingest)
    await ingest.sql(ATTEMPT, first, "2030-01-01T00:00:00Z", 12, 500)
    await ingest.sql(ATTEMPT, second, "2030-01-01T00:00:01Z", 3, 200)

    newest, oldest = await listed(ingest)

    assert [newest["job_id"], oldest["job_id"]] == [second, first]
    assert (oldest["status"], oldest["duration_ms"], oldest["answer"]) == (500, 12, "They said")
    assert (oldest["host"], oldest["type"]) == ("hooks.example", "job.completed")
    sent = msgspec.json.decode(oldest["body"])
    assert (sent["data"]["job_id"], sent["data"]["metadata"]) == (first, {"order": 7})


async def test_of_the_url_only_the_host_is_shown(ingest: Ingest) -> None:
    await ingest.sql(ATTEMPT, await completed(ingest), "2030-01-01T00:00:00Z", 12, 500)
    async with ingest.client.get(ingest.url + PATH) as answer:
        text = await answer.text()
    assert "hooks.example" in text
    assert "secret-token" not in text
    assert "key=abc" not in text


async def test_filters_select_and_combine(ingest: Ingest) -> None:
    one, other = await completed(ingest), await completed(ingest)
    for job_id, at, duration_ms, status in (
        (one, "2030-01-01T00:00:00Z", 5, 200),
        (one, "2030-01-02T00:00:00Z", 5, 503),
        (other, "2030-01-03T00:00:00Z", 5, None),
        (other, "2030-01-04T00:00:00Z", None, None),
    ):
        await ingest.sql(ATTEMPT, job_id, at, duration_ms, status)

    async def days(**query: Any) -> list[str]:
        return [attempt["attempted_at"][8:10] for attempt in await listed(ingest, **query)]

    assert await days() == ["04", "03", "02", "01"]
    assert await days(result="delivered") == ["01"]
    assert await days(result="failed") == ["03", "02"]
    assert await days(result="running") == ["04"]
    assert await days(status=503) == ["02"]
    assert await days(job_id=one) == ["02", "01"]
    assert await days(job_id=one, result="delivered") == ["01"]
    assert await days(since="2030-01-03T00:00:00Z") == ["04", "03"]
    assert await days(since="2030-01-03T01:00:00+01:00") == ["04", "03"]
    assert await days(since="2030-01-03T00:00:00") == ["04", "03"]
    assert await days(job_id=other, since="2030-01-04T00:00:00Z", result="failed") == []


async def test_pages_join_without_gaps(ingest: Ingest) -> None:
    job_id = await completed(ingest)
    for number in range(7):
        await ingest.sql(ATTEMPT, job_id, "2030-01-01T00:00:00Z", number, 200)
    seen: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        _, page = await ingest.get(PATH, params={"limit": "3", **cursor})
        seen += [attempt["duration_ms"] for attempt in page["attempts"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [6, 5, 4, 3, 2, 1, 0]


async def test_other_tenants_attempts_are_hidden(settings: IngestSettings) -> None:
    acme, globex = bearer((await new_key(settings, "acme")).key), bearer((await new_key(settings, "globex")).key)
    async with guarded(settings) as ingest:
        job_id = await completed(ingest, **acme)
        await ingest.sql(ATTEMPT, job_id, "2030-01-01T00:00:00Z", 5, 200)
        for query in ({}, {"job_id": job_id}):
            assert (await ingest.get(PATH, params=query, headers=globex))[1]["attempts"] == []
            assert len((await ingest.get(PATH, params=query, headers=acme))[1]["attempts"]) == 1


def looking_at(most: int, statement: str) -> str:
    """The statement of a page that looks through so few attempts."""
    before, after = f"LIMIT {webhook_log.LOOKED_AT})", f"OFFSET {webhook_log.LOOKED_AT - 1} "
    assert before in statement
    assert after in statement
    return statement.replace(before, f"LIMIT {most})").replace(after, f"OFFSET {most - 1} ")


async def test_a_search_goes_on_where_a_page_stopped(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_log, "LOG_OF_TENANT", looking_at(4, webhook_log.LOG_OF_TENANT))
    job_id = await completed(ingest)
    for number in range(10):
        await ingest.sql(
            ATTEMPT, job_id, f"2030-01-{number + 1:02}T00:00:00Z", number, 500 if number in {1, 9} else 200
        )

    async def pages(**query: str) -> list[list[int]]:
        found: list[list[int]] = []
        cursor: str | None = None
        while not found or cursor:
            _, page = await ingest.get(PATH, params=query | ({"cursor": cursor} if cursor else {}))
            found.append([attempt["duration_ms"] for attempt in page["attempts"]])
            cursor = page["next_cursor"]
        return found

    assert await pages(status="500") == [[9], [], [1]]
    assert await pages(status="404") == [[], [], []]
    assert await pages(result="delivered", limit="2") == [[8, 7], [6, 5], [4, 3], [2, 0]]
    assert await pages(since="2030-01-09T00:00:00Z") == [[9, 8]]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=201", "status=99", "status=x", "result=no", "job_id=x", "since=yesterday"),
        *("since=0001-01-01T00:00:00%2B23:00", "cursor=x", "cursor=", "cursor=__________8", "cursor=AAAAAAAAAAB"),
    ],
)
async def test_wrong_parameters_are_named(ingest: Ingest, query: str) -> None:
    status, problem = await ingest.get(f"{PATH}?{query}")
    assert (status, problem["code"]) == (400, "invalid_parameter")
    assert query.partition("=")[0] in problem["detail"]


@pytest.mark.parametrize("attempt_id", [0, 1, 255, 256, (1 << 63) - 1])
def test_a_cursor_is_read_as_it_was_written(attempt_id: int) -> None:
    assert decode_attempt_cursor(encode_attempt_cursor(attempt_id)) == attempt_id


def rows_read(node: dict[str, Any]) -> float:
    own = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    scanned = own * node["Actual Loops"] if "Relation Name" in node else 0
    return float(scanned) + sum(rows_read(child) for child in node.get("Plans", []))


async def test_a_page_reads_few_of_a_hundred_thousand_attempts(ingest: Ingest) -> None:
    job_id, small = await completed(ingest), await completed(ingest)
    await ingest.sql("UPDATE jobs SET tenant = 'small' WHERE id = $1", small)
    for job, number in ((small, 3), (job_id, 100_000)):
        await ingest.sql(MANY, job, number)
    await ingest.sql("ANALYZE webhook_attempts")
    connection = await asyncpg.connect(ingest.settings.database_url.reveal())  # as the service's role
    try:
        for tenant, shown in (("default", 51), ("small", 3)):
            await connection.execute(f"SELECT set_config('headrace.tenant', '{tenant}', false)")
            for mode in ("force_generic_plan", "force_custom_plan"):
                await connection.execute(f"SET plan_cache_mode = {mode}")
                statement = f"EXPLAIN (ANALYZE, FORMAT JSON) {webhook_log.LOG_OF_TENANT}"
                explained = await connection.fetchval(statement, tenant, None, None, None, None, 51)
                (plan,) = msgspec.json.decode(explained)
                assert plan["Plan"]["Actual Rows"] == shown
                assert rows_read(plan["Plan"]) < MOST_ROWS, (tenant, mode)
    finally:
        await connection.close()
