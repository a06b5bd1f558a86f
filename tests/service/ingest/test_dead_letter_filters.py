"""`/v1/dead-letters/counts` and `DELETE /v1/dead-letters`: dead letters by failure code; discard all of a filter."""

import asyncio
from typing import Any

import pytest

from ingest_service.settings import IngestSettings
from shared.schemas.failures import FailureCode
from tests.support.ingest import records
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav


async def counts(ingest: Ingest, path: str = "", **more: Any) -> dict[str, int]:
    status, found = await ingest.get(f"/v1/dead-letters/counts{path}", **more)
    assert status == 200, found
    assert found["total"] == sum(one["dead_letters"] for one in found["counts"])
    return {one["code"]: one["dead_letters"] for one in found["counts"]}


async def discard(ingest: Ingest, query: str = "", **more: Any) -> tuple[int, dict[str, Any]]:
    async with ingest.client.delete(f"{ingest.url}/v1/dead-letters{query}", **more) as answer:
        return answer.status, await answer.json()


async def failed(ingest: Ingest, code: FailureCode, number: int) -> list[str]:
    return [await records.failed(ingest, code) for _ in range(number)]


async def test_counts_are_by_code_with_the_newest_message(ingest: Ingest) -> None:
    ids = await failed(ingest, FailureCode.TIMEOUT, 2)
    await failed(ingest, FailureCode.POISON, 3)
    changed = """{"code": "timeout", "message": "The \\"code\\": \\"poison\\" was late.", "traceback": "at \\u0000"}"""
    await ingest.sql("UPDATE tasks SET finished_at = '2040-01-02', failure = $2 WHERE job_id = $1", ids[0], changed)
    await ingest.sql("UPDATE tasks SET finished_at = '2020-01-02' WHERE job_id = $1", ids[1])

    _, found = await ingest.get("/v1/dead-letters/counts")

    assert [(one["code"], one["dead_letters"], one["jobs"]) for one in found["counts"]] == [
        ("poison", 3, 3),
        ("timeout", 2, 2),
    ]
    late = found["counts"][1]
    assert (late["oldest_at"], late["newest_at"]) == ("2020-01-02T00:00:00Z", "2040-01-02T00:00:00Z")
    assert late["last_message"] == 'The "code": "poison" was late.'
    assert "at " not in str(late)


async def test_without_dead_letters_the_counts_are_empty(ingest: Ingest) -> None:
    assert await ingest.get("/v1/dead-letters/counts") == (200, {"counts": [], "total": 0})
    assert await discard(ingest) == (200, {"discarded": 0})


async def test_a_code_of_a_newer_version_is_counted(ingest: Ingest) -> None:
    await records.failed(ingest)
    await ingest.sql("""UPDATE tasks SET failure = '{"code":"of_tomorrow","message":"x"}'""")
    assert await counts(ingest) == {"of_tomorrow": 1}


async def test_discarding_a_code_leaves_the_others(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.jobs.dead_letters.DISCARDED_AT_ONCE", 2)
    await failed(ingest, FailureCode.TIMEOUT, 5)
    (other,) = await failed(ingest, FailureCode.POISON, 1)

    assert await discard(ingest, "?code=timeout") == (200, {"discarded": 5})

    assert await counts(ingest) == {"poison": 1}
    assert [letter["job_id"] for letter in await records.dead_letters(ingest)] == [other]
    assert (await ingest.post(None, path="/v1/dead-letters/redrive?code=timeout"))[1] == {"redriven": 0}
    assert {row["status"] for row in await ingest.sql("SELECT status FROM jobs")} == {"FAILED"}
    assert await discard(ingest) == (200, {"discarded": 1})
    assert await counts(ingest) == {}


async def test_discarded_at_the_same_time_each_counts_once(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.jobs.dead_letters.DISCARDED_AT_ONCE", 3)
    await failed(ingest, FailureCode.TIMEOUT, 10)
    answers = await asyncio.gather(
        *(discard(ingest) for _ in range(4)), ingest.post(None, path="/v1/dead-letters/redrive")
    )
    assert [status for status, _ in answers] == [200] * 5
    assert sum(answer.get("discarded", 0) + answer.get("redriven", 0) for _, answer in answers) == 10
    assert await counts(ingest) == {}


async def test_tenants_are_separate_and_the_operator_sees_all(settings: IngestSettings) -> None:
    acme, globex = bearer((await new_key(settings, "acme")).key), bearer((await new_key(settings, "globex")).key)
    operator = bearer((await new_key(settings, "watch", operates=True)).key)
    async with guarded(settings) as ingest:
        for tenant, number in ((acme, 2), (globex, 1)):
            for _ in range(number):
                _, job = await ingest.post(wav(), headers=WAV_TYPE | tenant)
                await records.fail(ingest, job["job_id"])
        assert sum((await counts(ingest, headers=acme)).values()) == 2
        assert sum((await counts(ingest, "?tenant=*", headers=operator)).values()) == 3
        assert sum((await counts(ingest, "?tenant=globex", headers=operator)).values()) == 1
        assert (await ingest.get("/v1/dead-letters/counts?tenant=*", headers=acme))[0] == 403
        assert (await discard(ingest, "?tenant=*", headers=acme))[0] == 403
        assert await discard(ingest, headers=acme) == (200, {"discarded": 2})
        assert sum((await counts(ingest, headers=globex)).values()) == 1
        assert await discard(ingest, "?tenant=*", headers=operator) == (200, {"discarded": 1})


@pytest.mark.parametrize("query", ["?code=nonsense", "?tenant=NO"])
async def test_wrong_parameters_are_named(ingest: Ingest, query: str) -> None:
    status, problem = await discard(ingest, query)
    assert (status, problem["code"]) == (400, "invalid_parameter")
