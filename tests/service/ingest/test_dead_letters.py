"""`/v1/dead-letters`: list permanently failed tasks, oldest first, and discard them."""

import msgspec
import pytest

from shared.schemas.failures import DeadLetter, FailureCode
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav


async def test_a_dead_letter_has_the_facts_of_its_task_and_job(ingest: Ingest) -> None:
    job_id = await records.failed(ingest, FailureCode.UNDECODABLE_AUDIO, language="en", denoise="false")
    (task,) = await records.tasks_of(ingest, job_id)

    (letter,) = await records.dead_letters(ingest)

    assert msgspec.convert(letter, DeadLetter) == DeadLetter(
        job_id=job_id,
        generation=1,
        task_kind="prepare",
        ordinal=0,
        code="undecodable_audio",
        message="It broke.",
        traceback="at \x00",
        attempts=1,
        first_failed_at=task["first_failed_at"],
        last_failed_at=task["last_failed_at"],
        tenant="default",
        options={"language": "en", "denoise": False},
    )


async def test_an_unknown_failure_code_is_shown_unchanged(ingest: Ingest) -> None:
    await records.failed(ingest)
    await ingest.sql("""UPDATE tasks SET failure = '{"code":"of_tomorrow","message":"x"}'""")
    assert [letter["code"] for letter in await records.dead_letters(ingest)] == ["of_tomorrow"]


async def test_the_list_is_oldest_first_and_its_cursor_handles_equal_times(ingest: Ingest) -> None:
    ids = [await records.failed(ingest) for _ in range(7)]
    await ingest.sql("UPDATE tasks SET finished_at = '2030-01-01 00:00:00.000001+00' WHERE job_id = any($1)", ids[2:6])
    await ingest.sql("UPDATE tasks SET finished_at = '2029-01-01' WHERE job_id = $1", ids[6])
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        _, page = await ingest.get("/v1/dead-letters", params={"limit": "2", **cursor})
        seen += [letter["job_id"] for letter in page["dead_letters"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [ids[0], ids[1], ids[6], *ids[2:6]]


async def test_the_code_filter_ignores_codes_in_messages(ingest: Ingest) -> None:
    wanted = await records.failed(ingest, FailureCode.POISON)
    await records.failed(ingest, FailureCode.TIMEOUT)
    mentioned = r'{ "code": "internal", "message": "{\"code\":\"poison\"}" }'
    await ingest.sql("UPDATE tasks SET failure = $2 WHERE job_id <> $1", wanted, mentioned)
    assert [letter["job_id"] for letter in await records.dead_letters(ingest, code="poison")] == [wanted]
    assert [letter["code"] for letter in await records.dead_letters(ingest, code="internal")] == ["internal"]
    assert await records.dead_letters(ingest, code="timeout") == []


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "code=nonsense", "cursor=x", "cursor=", "cursor=AAAA"])
async def test_wrong_parameters_are_named(ingest: Ingest, query: str) -> None:
    status, problem = await ingest.get(f"/v1/dead-letters?{query}")
    assert (status, problem["code"]) == (400, "invalid_parameter")
    assert query.partition("=")[0] in problem["detail"]


async def test_other_tenants_dead_letters_are_hidden(ingest: Ingest) -> None:
    job_id = await records.failed(ingest)
    await ingest.sql("UPDATE jobs SET tenant = 'other'")
    assert await records.dead_letters(ingest) == []
    assert (await ingest.post(None, path=f"/v1/dead-letters/{job_id}/redrive"))[0] == 404
    assert await ingest.post(None, path="/v1/dead-letters/redrive") == (200, {"redriven": 0})
    assert await ingest.delete(f"/v1/dead-letters/{job_id}") == 404
    assert (await records.job_row(ingest, job_id))["status"] == "FAILED"


async def test_a_discarded_dead_letter_is_not_listed_and_cannot_be_redriven(ingest: Ingest) -> None:
    job_id, other = await records.failed(ingest), await records.failed(ingest)

    assert await ingest.delete(f"/v1/dead-letters/{job_id}") == 204

    assert [letter["job_id"] for letter in await records.dead_letters(ingest)] == [other]
    assert (await ingest.post(None, path=f"/v1/dead-letters/{job_id}/redrive"))[1]["code"] == "no_dead_letter"
    assert await ingest.delete(f"/v1/dead-letters/{job_id}") == 404
    assert (await records.job_row(ingest, job_id))["status"] == "FAILED"


async def test_the_dead_delivery_of_an_erased_job_can_be_discarded(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK)
    await records.complete(ingest, job_id)
    await ingest.delete(f"/v1/jobs/{job_id}")
    (delivery,) = await records.tasks_of(ingest, job_id, "deliver")
    await records.end_task(ingest, delivery["id"], "dead", FailureCode.WEBHOOK_REFUSED)
    assert (await ingest.post(None, path=f"/v1/dead-letters/{job_id}/redrive"))[1]["code"] == "job_erased"
    assert await ingest.delete(f"/v1/dead-letters/{job_id}") == 204
    assert await records.dead_letters(ingest) == []
