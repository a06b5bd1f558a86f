"""`GET /v1/search`: words in the transcripts of a tenant's searchable jobs, against a real Postgres."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ingest_service.jobs import full_text
from processor_service.stages.passages import passages_of
from processor_service.tasks.record_passages import WRITE
from shared.schemas.transcript import Segment
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav
from tests.support.ingest.spoken import transcript

pytestmark = pytest.mark.process


def said(*texts: str, language: str = "en") -> Any:
    segments = [
        Segment(id=number, start=number * 10.0, end=number * 10.0 + 9, text=text, confidence=1.0, no_speech_prob=0.0)
        for number, text in enumerate(texts)
    ]
    return msgspec.structs.replace(transcript(*segments, duration_s=10.0 * len(texts)), language=language)


async def searchable(ingest: Ingest, *texts: str, language: str = "en") -> str:
    """Return a job that ended, with its text written by the processor's statement."""
    job_id = await ingest.submit(wav(), searchable="true")
    (task,) = await records.tasks_of(ingest, job_id)
    await ingest.sql("UPDATE tasks SET state = 'running', lease_token = 7 WHERE id = $1", task["id"])
    await write(ingest, job_id, task["id"], 7, *texts, language=language)
    await records.complete(ingest, job_id)
    return job_id


async def write(ingest: Ingest, job_id: str, task_id: UUID, token: int, *texts: str, language: str = "en") -> None:
    passages = passages_of(said(*texts, language=language))
    columns = (
        [one.config for one in passages],
        [one.body for one in passages],
        [msgspec.json.encode(one.segments).decode() for one in passages],
        [one.words for one in passages],
    )
    await ingest.sql(WRITE, job_id, task_id, token, *columns)


async def search(ingest: Ingest, q: str, **query: str) -> dict[str, Any]:
    async with ingest.client.get(f"{ingest.url}/v1/search", params={"q": q, **query}) as answer:
        assert answer.status == 200, await answer.text()
        return dict(await answer.json())


async def jobs_with(ingest: Ingest, q: str, **query: str) -> list[str]:
    return [hit["job_id"] for hit in (await search(ingest, q, **query))["hits"]]


async def texts_of(ingest: Ingest, job_id: str) -> Sequence[Any]:
    return await ingest.sql("SELECT * FROM transcript_texts WHERE job_id = $1", job_id)


async def test_words_are_found_in_all_their_forms_with_their_time(ingest: Ingest) -> None:
    job_id = await searchable(ingest, "Hello and welcome.", "We refunded the customers yesterday.")
    await searchable(ingest, "Nothing of that kind.")

    found = await search(ingest, "customer refunds")

    (hit,) = found["hits"]
    assert (hit["job_id"], hit["start"]) == (job_id, 10.0)
    assert [hit["snippet"][first:last] for first, last in hit["highlights"]] == ["refunded", "customers"]
    assert (found["complete"], found["next_cursor"]) == (True, None)
    assert await jobs_with(ingest, '"the customers"') == [job_id]
    assert await jobs_with(ingest, '"customers refunded"') == []
    assert await jobs_with(ingest, "refund -customer") == []
    assert await jobs_with(ingest, "the and") == []  # no word that is indexed


@pytest.mark.parametrize(
    ("language", "text", "q", "marked"),
    [
        ("ja", "私は東京都に住んでいます。", "東京都", "東京都"),
        ("zh", "我们明天去北京大学。", "北京", "北京"),
        ("th", "วันนี้อากาศดีมาก", "อากาศ", "อากาศ"),
        ("ko", "오늘 서울에 갑니다", "서울에", "서울에"),
        ("de", "Die Kündigungen wurden verschickt.", "Kündigung", "Kündigungen"),
        ("ru", "Мы говорили о договорах.", "договор", "договорах"),  # noqa: RUF001 - is Russian
        ("ar", "ذهبت إلى المدرسة اليوم", "المدرسة", "المدرسة"),
        ("cy", "Mae hen wlad fy nhadau", "WLAD", "wlad"),
    ],
)
async def test_each_script_is_found(ingest: Ingest, language: str, text: str, q: str, marked: str) -> None:
    job_id = await searchable(ingest, text, language=language)

    (hit,) = (await search(ingest, q, language=language))["hits"]

    assert hit["job_id"] == job_id
    assert hit["snippet"][slice(*hit["highlights"][0])] == marked
    assert await jobs_with(ingest, q) == [job_id]
    assert await jobs_with(ingest, q, language="fi") == []


async def test_pages_have_each_hit_once(ingest: Ingest) -> None:
    jobs = {await searchable(ingest, f"The invoice number {number}.") for number in range(5)}

    pages, cursor = [], "0"
    while cursor is not None:
        page = await search(ingest, "invoices", limit="2", cursor=cursor)
        pages.append([hit["job_id"] for hit in page["hits"]])
        cursor = page["next_cursor"]

    assert [len(page) for page in pages] == [2, 2, 1]
    assert {job for page in pages for job in page} == jobs


async def test_the_time_of_submission_limits_a_search(ingest: Ingest) -> None:
    job_id = await searchable(ingest, "An old contract.")

    assert await jobs_with(ingest, "contract", created_after="2020-01-01T00:00:00Z") == [job_id]
    assert await jobs_with(ingest, "contract", created_before="2020-01-01T00:00:00Z") == []
    assert await jobs_with(ingest, "contract", created_after="2200-01-01T00:00:00Z") == []


async def test_an_erased_job_is_not_found_and_leaves_no_text(ingest: Ingest) -> None:
    job_id = await searchable(ingest, "A secret plan.")
    (task,) = await records.tasks_of(ingest, job_id)
    assert len(await texts_of(ingest, job_id)) == 1

    async with ingest.client.delete(f"{ingest.url}/v1/jobs/{job_id}") as answer:
        assert answer.status == 204

    assert await texts_of(ingest, job_id) == []
    await ingest.sql("UPDATE tasks SET state = 'running' WHERE id = $1", task["id"])
    await write(ingest, job_id, task["id"], 7, "A secret plan.")  # of a worker that is late
    assert await texts_of(ingest, job_id) == []


async def test_another_attempt_replaces_the_text_and_one_without_lease_does_not(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav(), searchable="true")
    (task,) = await records.tasks_of(ingest, job_id)
    await ingest.sql("UPDATE tasks SET state = 'running', lease_token = 2 WHERE id = $1", task["id"])

    await write(ingest, job_id, task["id"], 2, *["An apple. " * 50] * 4)
    await write(ingest, job_id, task["id"], 2, "A pear.")
    await write(ingest, job_id, task["id"], 1, "A plum.")

    assert [row["body"] for row in await texts_of(ingest, job_id)] == ["A pear."]
    assert await jobs_with(ingest, "pear") == []  # it has not ended
    await records.complete(ingest, job_id)
    assert await jobs_with(ingest, "pear") == [job_id]


async def test_a_search_that_takes_too_long_is_refused(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    await searchable(ingest, "A word.")
    monkeypatch.setattr(full_text, "SEARCH", f"SELECT pg_sleep(30) WHERE $1 <> '' {_using(2, 9)}")
    monkeypatch.setattr(full_text, "LIMIT_TIME", "SET LOCAL statement_timeout = 50")

    status, problem = await ingest.get("/v1/search?q=word")

    assert (status, problem["code"]) == (400, "search_too_broad")
    assert (await ingest.get("/v1/jobs"))[0] == 200  # the connection is usable


def _using(first: int, last: int) -> str:
    types = {2: "text[]", 3: "uuid", 4: "uuid", 5: "timestamptz", 6: "timestamptz"}
    return "".join(f" OR ${number}::{types.get(number, 'int')} IS NULL" for number in range(first, last + 1))


@pytest.mark.parametrize(
    "q", ["'; DROP TABLE jobs --", "a:*", "a & | !", '"', '"a" or', "\\", "t" + "0" * 32, "ก" * 200]
)
async def test_any_text_is_a_search(ingest: Ingest, q: str) -> None:
    await searchable(ingest, "Some text.")
    async with ingest.client.get(f"{ingest.url}/v1/search", params={"q": q}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("q", ["", "a\x00b", "\x00", "a" * 201])
async def test_what_is_no_search_is_refused(ingest: Ingest, q: str) -> None:
    async with ingest.client.get(f"{ingest.url}/v1/search", params={"q": q}) as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, "invalid_parameter")


async def test_the_index_is_used_and_other_tenants_are_not_read(ingest: Ingest) -> None:
    await searchable(ingest, "Only mine.")
    (row,) = await ingest.sql("SELECT tenant FROM transcript_texts LIMIT 1")
    await ingest.sql("INSERT INTO tenants (name) VALUES ('globex') ON CONFLICT DO NOTHING")
    await ingest.sql("UPDATE transcript_texts SET tenant = 'globex'")

    assert await jobs_with(ingest, "mine") == []
    await ingest.sql("UPDATE transcript_texts SET tenant = $1", row["tenant"])
    assert len(await jobs_with(ingest, "mine")) == 1
