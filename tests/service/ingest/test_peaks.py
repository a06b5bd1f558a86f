"""`GET /v1/jobs/{job_id}/peaks`: both levels, their validators, and jobs that have none."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from shared.blobs import blob_keys
from shared.schemas.failures import FailureCode
from shared.schemas.states import JobStatus
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

DETAIL, OVERVIEW = b'{"version":2,"data":[1,2]}', b'{"version":2,"data":[1]}'


async def decoded(ingest: Ingest, job_id: str, *, generation: int = 1, has_overview: bool = False) -> None:
    """Do what the processor does when it has decoded the audio."""
    duration_s = 2 * blob_keys.OVERVIEW_FROM_S if has_overview else 1
    (row,) = await ingest.sql(
        "UPDATE jobs SET peaks_generation = $2, duration_s = $3 WHERE id = $1 RETURNING id",
        job_id,
        generation,
        duration_s,
    )
    await ingest.blobs.put(blob_keys.peaks(row["id"], generation), DETAIL)
    if has_overview:
        await ingest.blobs.put(blob_keys.peaks_overview(row["id"], generation), OVERVIEW)


async def ask(
    ingest: Ingest, path: str, headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    async with ingest.client.get(ingest.url + path, headers=headers) as answer:
        return answer.status, answer.headers, await answer.read()


async def refusal(ingest: Ingest, job_id: object) -> tuple[int, str]:
    status, problem = await ingest.get(f"/v1/jobs/{job_id}/peaks")
    return status, problem["code"]


@pytest.mark.parametrize(("query", "body"), [("", DETAIL), ("?level=detail", DETAIL), ("?level=overview", OVERVIEW)])
async def test_each_level_of_a_long_file(ingest: Ingest, query: str, body: bytes) -> None:
    job_id = await ingest.submit(wav())
    await decoded(ingest, job_id, has_overview=True)
    await records.complete(ingest, job_id)

    status, headers, found = await ask(ingest, f"/v1/jobs/{job_id}/peaks{query}")

    assert (status, found, headers["Content-Type"]) == (200, body, "application/json")
    assert headers["Content-Length"] == str(len(body))
    assert headers["Content-Disposition"].startswith("inline; ")
    assert "peaks.json" in headers["Content-Disposition"]


async def test_the_detail_of_a_short_file_is_its_overview(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await decoded(ingest, job_id)
    overview = await ask(ingest, f"/v1/jobs/{job_id}/peaks?level=overview")
    detail = await ask(ingest, f"/v1/jobs/{job_id}/peaks")
    assert overview[::2] == detail[::2] == (200, DETAIL)
    assert overview[1]["ETag"] == detail[1]["ETag"]


async def test_a_client_that_has_the_peaks_gets_304(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await decoded(ingest, job_id, has_overview=True)
    path = f"/v1/jobs/{job_id}/peaks"
    etag = (await ask(ingest, path))[1]["ETag"]

    status, headers, body = await ask(ingest, path, {"If-None-Match": etag})

    assert (status, headers["ETag"], body) == (304, etag, b"")
    assert (await ask(ingest, f"{path}?level=overview", {"If-None-Match": etag}))[::2] == (200, OVERVIEW)
    assert (await ask(ingest, path, {"If-Match": '"other"'}))[0] == 412


async def test_another_level_is_refused(ingest: Ingest) -> None:
    status, problem = await ingest.get(f"/v1/jobs/{await ingest.submit(wav())}/peaks?level=low")
    assert (status, problem["code"]) == (400, "invalid_parameter")
    assert "level" in problem["detail"]


async def test_a_job_of_an_older_version_has_no_peaks(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await records.complete(ingest, job_id)
    assert await refusal(ingest, job_id) == (404, "no_peaks")


async def test_peaks_whose_blob_is_lost_are_not_found(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await decoded(ingest, job_id)
    await ingest.blobs.delete_keys([blob_keys.peaks((await records.job_row(ingest, job_id))["id"], 1)])
    assert await refusal(ingest, job_id) == (404, "no_peaks")


async def test_before_the_audio_is_decoded_there_are_none(ingest: Ingest) -> None:
    queued, failed, cancelled = [await ingest.submit(wav()) for _ in range(3)]
    await records.end_job(ingest, failed, JobStatus.FAILED, FailureCode.UNDECODABLE_AUDIO)
    await records.end_job(ingest, cancelled, JobStatus.CANCELLED)
    assert await refusal(ingest, queued) == (409, "not_ready")
    assert await refusal(ingest, failed) == (409, "job_failed")
    assert await refusal(ingest, cancelled) == (409, "job_cancelled")


@pytest.mark.parametrize("status", ["PROCESSING", "FAILED", "CANCELLED"])
async def test_decoded_audio_has_peaks_whatever_becomes_of_the_job(ingest: Ingest, status: str) -> None:
    job_id = await ingest.submit(wav())
    await decoded(ingest, job_id)
    await ingest.sql("UPDATE jobs SET status = $2 WHERE id = $1", job_id, status)
    assert (await ask(ingest, f"/v1/jobs/{job_id}/peaks"))[0] == 200


async def test_a_repeated_diarization_keeps_the_peaks(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await decoded(ingest, job_id)
    row = await records.job_row(ingest, job_id)
    await ingest.blobs.put(blob_keys.transcript(row["id"], 1), b"{}")
    await records.complete(ingest, job_id)
    status, _ = await ingest.post(None, path=f"/v1/jobs/{job_id}/diarize")
    assert status == 202

    assert (await ask(ingest, f"/v1/jobs/{job_id}/peaks"))[::2] == (200, DETAIL)
    await decoded(ingest, job_id, generation=2)
    assert (await ask(ingest, f"/v1/jobs/{job_id}/peaks"))[::2] == (200, DETAIL)


async def test_erasing_a_job_deletes_its_peaks(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await decoded(ingest, job_id, has_overview=True)
    await records.complete(ingest, job_id)
    assert len(ingest.stored_files()) == 3
    assert await ingest.delete(f"/v1/jobs/{job_id}") == 204
    assert ingest.stored_files() == []
    assert await refusal(ingest, job_id) == (410, "job_erased")


async def test_the_document_describes_the_peaks(ingest: Ingest) -> None:
    _, document = await ingest.get("/schema/openapi.json")
    described: dict[str, Any] = document["paths"]["/v1/jobs/{job_id}/peaks"]["get"]
    content = described["responses"]["200"]["content"]["application/json"]
    assert content["schema"]["$ref"].endswith("Peaks")
    (example,) = (each["value"] for each in content["examples"].values())
    assert len(example["data"]) == 2 * example["length"]
    level = next(each for each in described["parameters"] if each["name"] == "level")
    assert msgspec.json.encode(level["schema"]).count(b"overview") == 1
