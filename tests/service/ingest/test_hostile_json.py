"""Deep and large JSON is refused by every route, and cannot protect a job from being erased."""

import io
from typing import Any

import asyncpg
import pytest

from ingest_service.client_json import MAX_DEPTH, MAX_METADATA_BYTES
from processor_service.maintenance.erase import Eraser, Retention
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav
from tests.support.ingest.tus_client import Tus, metadata

URL = "https://example.com/a.mp3"
AUDIO = {"Content-Type": "audio/wav"}
JSON = {"Content-Type": "application/json"}
TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "1"}  # for the creation of an upload


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


DEEP, DEEPEST = nested(MAX_DEPTH), nested(MAX_DEPTH + 1)
LARGE, LARGEST = f'"{"x" * (MAX_METADATA_BYTES - 2)}"', f'"{"x" * (MAX_METADATA_BYTES - 1)}"'


async def by_form(ingest: Ingest, text: str) -> int:
    return (await ingest.post({"metadata": text, "audio_file": io.BytesIO(wav())}))[0]


async def by_options_field(ingest: Ingest, text: str) -> int:
    form = {"options": f'{{"metadata":{text}}}', "audio_file": io.BytesIO(wav())}
    return (await ingest.post(form, path="/api/upload-audio"))[0]


async def by_query(ingest: Ingest, text: str) -> int:
    return (await ingest.post(io.BytesIO(wav()), params={"metadata": text}, headers=AUDIO))[0]


async def by_json(ingest: Ingest, text: str) -> int:
    return (await ingest.post(f'{{"audio_url":"{URL}","metadata":{text}}}', headers=JSON))[0]


async def by_tus(ingest: Ingest, text: str) -> int:
    status = (await Tus.to(ingest).create(5, Upload_Metadata=metadata(metadata=text))).status
    return 202 if status == 201 else status


@pytest.mark.parametrize("way", [by_form, by_options_field, by_query, by_json, by_tus])
async def test_metadata_is_bounded_in_depth_and_size(ingest: Ingest, way: Any) -> None:
    large, largest = (LARGE[:5000] + '"', LARGE[:5000] + '"') if way is by_tus else (LARGE, LARGEST)
    assert await way(ingest, DEEP) == 202
    assert await way(ingest, large) == 202
    assert await way(ingest, DEEPEST) == 400
    assert await way(ingest, nested(976)) == 400
    if way is not by_tus:  # its header has a smaller bound
        assert await way(ingest, largest) == 400


async def test_every_route_with_a_json_body_refuses_deep_json(ingest: Ingest) -> None:
    _, document = await ingest.get("/schema/openapi.json")
    routes = [
        (method, path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]
    assert {("post", "/v1/jobs/remote"), ("post", "/v1/keys")} <= set(routes)
    for method, path in routes:
        url = ingest.url + path.replace("{job_id}", "019aa3c5-7a3e-7bd0-9c46-0d6c2f1f7f10")
        for levels in (MAX_DEPTH + 2, 976, 5000):
            body = f'{{"unknown":{nested(levels)}}}'
            async with ingest.client.request(method, url, data=body, headers=JSON | TUS) as answer:
                problem = await answer.json(content_type=None)
            if len(body) > 10_000 and problem["code"] == "too_large":
                continue
            assert answer.status == 400, (method, path, problem)
            assert problem["code"] in {"invalid_json", "invalid_option"}
            assert "levels" in problem["detail"]


async def job_of_an_old_version(ingest: Ingest) -> str:
    """A completed job with a webhook and with metadata that no decoder can read."""
    job_id = await ingest.submit(wav(), webhook_url=records.HOOK)
    deep = f'{{"error":"\\"metadata\\":","x":{nested(3000)},"error":{{"metadata":1}}}}'
    await ingest.sql("UPDATE jobs SET metadata = $2 WHERE id = $1", job_id, deep)
    return job_id


@pytest.mark.parametrize("has_ended", [True, False])
async def test_a_job_with_deep_metadata_is_read_and_erased(ingest: Ingest, *, has_ended: bool) -> None:
    job_id = await job_of_an_old_version(ingest)
    if has_ended:
        await records.complete(ingest, job_id)
    for path in (f"/v1/jobs/{job_id}", "/v1/jobs"):
        async with ingest.client.get(ingest.url + path) as answer:
            assert answer.status == 200
            assert nested(3000) in await answer.text()

    assert await ingest.delete(f"/v1/jobs/{job_id}") == 204

    (event,) = await ingest.sql("SELECT body FROM webhook_events")
    assert event["body"].endswith('"metadata":null,"error":null}}')
    assert (await records.job_row(ingest, job_id))["metadata"] is None


async def test_retention_erases_a_job_with_deep_metadata(ingest: Ingest) -> None:
    job_id = await job_of_an_old_version(ingest)
    await records.complete(ingest, job_id)
    await ingest.sql("UPDATE jobs SET completed_at = now() - interval '1 hour'")
    retention = Retention(jobs_s=60, audio_s=0, webhook_log_s=3600)
    connection = await asyncpg.connect(ingest.record_url)
    try:
        await Eraser(ingest.blobs, retention, lease_s=1)(connection)
    finally:
        await connection.close()
    assert (await records.job_row(ingest, job_id))["erased_at"] is not None


async def test_a_resumable_upload_with_deep_metadata_is_refused_and_terminated(ingest: Ingest) -> None:
    tus, audio = Tus.to(ingest), wav()
    path = await tus.created(len(audio))
    await ingest.sql("UPDATE uploads SET options = $1", f'{{"metadata":{nested(5000)}}}')
    answer = await tus.patch(path, 0, io.BytesIO(audio))
    assert (answer.status, answer.code) == (400, "invalid_option")
    assert (await tus.request("DELETE", path)).status == 204
