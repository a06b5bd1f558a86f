"""`GET /v1/jobs` and `GET /v1/jobs/counts` with filters: what matches, pages, bounds and refusals."""

import datetime as dt
from typing import Any

import aiohttp
import msgspec
import pytest

from ingest_service.jobs import find
from ingest_service.jobs.filters import JobFilter, metadata_patterns
from shared.ids import new_id
from shared.schemas.failures import FailureCode
from shared.schemas.states import JobStatus
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

END_FACTS = "UPDATE jobs SET speakers = $2, warning_codes = $3 WHERE id = $1"
INSERT_ENDED = """
    INSERT INTO jobs (id, status, options, filename, container, source_bytes, source_sha256, completed_at)
    SELECT id, 'COMPLETED', '{}', filename, 'wav', 1, 'x', now()
    FROM unnest($1::uuid[], $2::text[]) AS job (id, filename)
"""


async def named(ingest: Ingest, filename: str, metadata: Any = None) -> str:
    """Submit a form with a file name."""
    fields = {} if metadata is None else {"metadata": msgspec.json.encode(metadata).decode()}
    with_file = {**fields, "audio_file": wav()}

    form = aiohttp.FormData(quote_fields=False)
    for name, value in with_file.items():
        form.add_field(name, value, filename=filename if name == "audio_file" else None)
    status, job = await ingest.post(form)
    assert status == 202, job
    return str(job["job_id"])


async def ended(ingest: Ingest, names: list[str]) -> list[str]:
    """Insert ended jobs, oldest first."""
    ids = sorted(new_id() for _ in names)
    await ingest.sql(INSERT_ENDED, ids, names)
    return [str(job_id) for job_id in ids]


async def listed(ingest: Ingest, **query: Any) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        status, page = await ingest.get("/v1/jobs", params={**query, **cursor})
        assert status == 200, page
        found += [job["job_id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def counted(ingest: Ingest, **query: Any) -> dict[str, int]:
    status, counts = await ingest.get("/v1/jobs/counts", params=query)
    assert status == 200, counts
    assert counts["total"] == sum(counts["counts"].values())
    return {name: number for name, number in counts["counts"].items() if number}


async def assert_matches(ingest: Ingest, expected: list[str], **query: Any) -> None:
    """Assert what a filter matches, in pages of one, in one page, and as a count."""
    assert await listed(ingest, **query) == expected
    assert await listed(ingest, **query, limit=1) == expected
    assert sum((await counted(ingest, **query)).values()) == len(expected)


async def test_filters_by_one_and_by_several_statuses(ingest: Ingest) -> None:
    queued, running, done = [await ingest.submit(wav()) for _ in range(3)]
    failed = await records.failed(ingest)
    await records.start(ingest, running)
    await records.complete(ingest, done)
    await assert_matches(ingest, [failed, done, running, queued])
    await assert_matches(ingest, [queued], status="QUEUED")
    await assert_matches(ingest, [failed], status="FAILED")
    await assert_matches(ingest, [running, queued], status=["QUEUED", "PROCESSING"])
    await assert_matches(ingest, [failed, done], status=["COMPLETED", "FAILED"])
    assert await counted(ingest) == {"QUEUED": 1, "PROCESSING": 1, "COMPLETED": 1, "FAILED": 1}


async def test_filters_by_a_part_of_the_file_name(ingest: Ingest) -> None:
    first = await named(ingest, "Interview Müller 100%_a.WAV")
    second = await named(ingest, "interview-2.wav")
    await records.complete(ingest, second)
    await assert_matches(ingest, [second, first], filename="INTERVIEW")
    await assert_matches(ingest, [first], filename="müller")
    await assert_matches(ingest, [first], filename="%_")
    await assert_matches(ingest, [], filename="w_2")
    await assert_matches(ingest, [], filename="\\")


async def test_filters_by_metadata(ingest: Ingest) -> None:
    first = await named(ingest, "a.wav", {"customer": "4711", "deep": {"tag": ["x", 'quote"']}, "n": 7, "ok": True})
    second = await named(ingest, "b.wav", {"customer": 4711, "text": '"deep":1', "nul": "\x00"})
    await records.complete(ingest, second)
    await assert_matches(ingest, [second, first], metadata_key="customer")
    await assert_matches(ingest, [second, first], metadata_key="customer", metadata_value="4711")
    await assert_matches(ingest, [], metadata_key="customer", metadata_value="471")
    await assert_matches(ingest, [first], metadata_key="deep")
    await assert_matches(ingest, [first], metadata_key="tag")
    await assert_matches(ingest, [first], metadata_key="ok", metadata_value="true")
    await assert_matches(ingest, [first], metadata_key="n", metadata_value="7")
    await assert_matches(ingest, [second], metadata_key="nul", status="COMPLETED")
    await assert_matches(ingest, [second], metadata_key="text", metadata_value='"deep":1')


def test_a_pattern_of_metadata_is_a_whole_name_and_value() -> None:
    assert metadata_patterns("a%", None) == [r'%"a\%":%']
    assert metadata_patterns("k", "v") == ['%"k":"v"%']
    assert metadata_patterns("k", "1")[1:] == ['%"k":1,%', '%"k":1}%', '%"k":1]%']


async def test_filters_by_speakers_warning_and_failure(ingest: Ingest) -> None:
    one, two, three = await ended(ingest, ["1", "2", "3"])
    await ingest.sql(END_FACTS, one, 1, ["clipped", "quiet"])
    await ingest.sql(END_FACTS, two, 2, ["quiet"])
    await ingest.sql(END_FACTS, three, None, [])
    failed = await records.failed(ingest, FailureCode.TIMEOUT)
    await assert_matches(ingest, [two, one], min_speakers=1)
    await assert_matches(ingest, [one], max_speakers=1)
    await assert_matches(ingest, [two], min_speakers=2, max_speakers=2)
    await assert_matches(ingest, [two, one], warning="quiet")
    await assert_matches(ingest, [one], warning="clipped", min_speakers=1)
    await assert_matches(ingest, [failed], code="timeout")
    await assert_matches(ingest, [], code="poison")
    _, job = await ingest.get(f"/v1/jobs/{two}")
    assert job["speakers"] == 2


async def test_filters_by_time(ingest: Ingest) -> None:
    old, new = await ended(ingest, ["old", "new"])
    await ingest.sql("UPDATE jobs SET created_at = now() - interval '1 hour' WHERE id = $1", old)
    between = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=30)).isoformat()
    await assert_matches(ingest, [new], created_after=between)
    await assert_matches(ingest, [old], created_before=between)
    await assert_matches(ingest, [], created_before="2001-01-01T00:00:00Z")
    await assert_matches(ingest, [], created_after="9999-01-01T00:00:00Z")
    await assert_matches(
        ingest, [new, old], created_after="0001-01-01T00:00:00Z", created_before="9999-12-31T23:59:59Z"
    )


async def test_erased_jobs_match_nothing(ingest: Ingest) -> None:
    (job_id,) = await ended(ingest, ["gone.wav"])
    assert await ingest.delete(f"/v1/jobs/{job_id}") == 204
    await assert_matches(ingest, [])
    await assert_matches(ingest, [], status=["COMPLETED", "FAILED"])
    await assert_matches(ingest, [], filename="gone")


async def test_a_page_that_ends_at_the_bound_goes_on_with_its_cursor(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "INDEX_ROWS", 3)
    monkeypatch.setattr(find, "TABLE_ROWS", 6)
    jobs = await ended(ingest, [f"{'a' if number % 5 == 0 else 'b'}-{number}" for number in range(10)])
    queued = [await named(ingest, f"a-{number}") for number in range(4)]
    expected = [*reversed(queued), jobs[5], jobs[0]]
    assert await listed(ingest, filename="a-") == expected
    assert await listed(ingest, filename="a-", limit=1) == expected
    _, page = await ingest.get("/v1/jobs", params={"filename": "no such"})
    assert (page["jobs"], page["next_cursor"] is None) == ([], False)
    monkeypatch.setattr(find, "COUNTED_ROWS", 3)
    _, counts = await ingest.get("/v1/jobs/counts", params={"filename": "-"})
    assert (counts["counts"]["COMPLETED"], counts["complete"]) == (3, False)
    _, counts = await ingest.get("/v1/jobs/counts")
    assert (counts["total"], counts["complete"]) == (14, True)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"status": "DONE"}, "`status` must be"),
        ({"created_after": "yesterday"}, "`created_after` must be a time with its zone"),
        ({"created_after": "2026-01-01T00:00:00"}, "`created_after` must be a time with its zone"),
        ({"created_after": "0001-01-01T00:00:00+14:00"}, "`created_after` must be a time in the years 1 to 9999"),
        ({"created_before": "9999-12-31T23:00:00-14:00"}, "`created_before` must be a time in the years 1 to 9999"),
        ({"filename": ""}, "`filename` must be text of 1 to 255 characters"),
        ({"filename": "a\x00b"}, "`filename` must be text of 1 to 255 characters"),
        ({"filename": "x" * 256}, "`filename` must be text of 1 to 255 characters"),
        ({"metadata_value": "x"}, "`metadata_value` needs `metadata_key`"),
        ({"min_speakers": "-1"}, "`min_speakers` must be a whole number"),
        ({"warning": "No Speech"}, "`warning` must be a code"),
        ({"code": "'"}, "`code` must be a code"),
    ],
)
async def test_wrong_filters_are_refused(ingest: Ingest, query: dict[str, str], said: str) -> None:
    for path in ("/v1/jobs", "/v1/jobs/counts"):
        status, problem = await ingest.get(path, params=query)
        assert (status, problem["code"]) == (400, "invalid_parameter"), problem
        assert said in problem["detail"]


def test_one_index_for_each_part_of_the_jobs() -> None:
    def of(wanted: JobFilter) -> list[str]:
        return [branch.name for branch in find.branches(wanted, 100)]

    assert of(JobFilter()) == ["queued", "processing", "ended"]
    ended = (JobStatus.FAILED, JobStatus.COMPLETED)
    assert of(JobFilter(filename="x", status=ended)) == ["ended"]
    assert of(JobFilter(metadata_key="x", status=ended[1:])) == ["completed"]
    assert of(JobFilter(code="timeout")) == ["failed"]
    assert of(JobFilter(code="timeout", status=ended[1:])) == []


async def test_a_filter_that_nothing_can_match(ingest: Ingest) -> None:
    await ended(ingest, ["a"])
    await assert_matches(ingest, [], code="timeout", status="COMPLETED")
