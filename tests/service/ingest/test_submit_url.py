"""Submitting the URL of audio as JSON: what is accepted, what is refused, and what is shown before the fetch."""

from typing import Any

import aiohttp
import msgspec
import pytest

from ingest_service.settings import IngestSettings
from shared.schemas.states import JobStatus
from tests.support.ingest.records import end_job, fail, job_row
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav

URL = "https://example.com/talks/1.mp3?signature=a%2Fb&x=(1)"
JSON = {"Content-Type": "application/json"}


async def post(ingest: Ingest, body: Any, path: str = "/v1/jobs", **options: Any) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return await ingest.post(data, path, **{"headers": JSON, **options})


async def submit(ingest: Ingest, **options: Any) -> str:
    status, body = await post(ingest, {"audio_url": URL, **options})
    assert status == 202, body
    return str(body["job_id"])


async def test_a_url_becomes_a_job(ingest: Ingest) -> None:
    options = {"language": "de", "denoise": False, "metadata": {"a": [1.5]}, "webhook_url": "http://a.example/"}
    job_id = await submit(ingest, **options)
    job = await job_row(ingest, job_id)
    assert (job["source_url"], job["options"]) == (URL, '{"language":"de","denoise":false}')
    assert (job["metadata"], job["webhook_url"]) == ('{"a":[1.5]}', "http://a.example/")
    assert (job["container"], job["source_bytes"], job["source_sha256"]) == (None, None, None)
    (task,) = await ingest.sql("SELECT job_id, kind, state, dispatch_no FROM tasks")
    assert tuple(task) == (job["id"], "prepare", "dispatched", 1)
    assert ingest.stored_files() == []


async def test_options_may_be_in_the_query(ingest: Ingest) -> None:
    status, body = await post(ingest, {"audio_url": URL}, params={"language": "en"}, headers={
        "Content-Type": "application/json; charset=utf-8"})  # fmt: skip
    assert status == 202
    assert (await job_row(ingest, body["job_id"]))["options"] == '{"language":"en"}'


async def test_unknown_properties_are_null_before_the_fetch(ingest: Ingest) -> None:
    job_id = await submit(ingest)
    _, job = await ingest.get(f"/v1/jobs/{job_id}")
    assert {value for name, value in job["audio"].items() if name != "tracks"} == {None}
    assert job["audio"]["tracks"] == []
    assert "signature" not in str(job)
    status, problem = await ingest.get(f"/v1/jobs/{job_id}/audio")
    assert (status, problem["code"]) == (409, "not_ready")

    await ingest.sql("UPDATE jobs SET container = 'mp3', source_bytes = 4, source_sha256 = 'ab'")
    _, job = await ingest.get(f"/v1/jobs/{job_id}")
    assert (job["audio"]["format"], job["audio"]["bytes"], job["audio"]["sha256"]) == ("mp3", 4, "ab")


async def test_a_job_that_failed_before_the_fetch_has_no_audio(ingest: Ingest) -> None:
    job_id = await submit(ingest)
    await fail(ingest, job_id)
    status, problem = await ingest.get(f"/v1/jobs/{job_id}/audio")
    assert (status, problem["code"]) == (409, "job_failed")
    status, _ = await ingest.post(None, f"/v1/dead-letters/{job_id}/redrive")
    assert status == 202
    assert (await job_row(ingest, job_id))["source_url"] == URL


async def test_erasing_a_job_erases_its_url(ingest: Ingest) -> None:
    job_id = await submit(ingest)
    await end_job(ingest, job_id, JobStatus.COMPLETED)
    assert await ingest.delete(f"/v1/jobs/{job_id}") == 204
    assert (await job_row(ingest, job_id))["source_url"] is None


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "HTTPS://EXAMPLE.COM:8443/x",
        "https://[2606:4700::1111]/x",
        "https://größe.example/ä?ö#ü",
        "https://example.com/" + "x" * 4000,
    ],
)
async def test_valid_urls_are_accepted(ingest: Ingest, url: str) -> None:
    assert (await post(ingest, {"audio_url": url}))[0] == 202


@pytest.mark.parametrize(
    "url",
    [
        *("", "talk.mp3", "/talk.mp3", "//example.com/x", "https:example.com", "https://", "https:///x", "https://?x"),
        *("ftp://example.com/x", "file:///etc/passwd", "data:audio/wav;base64,UklGRg==", "gopher://example.com/"),
        *("https://user:pass@example.com/", "https://user@example.com/", "https://example.com\\@evil.example/"),
        *("https://example.com/a b", "https://example.com/\n", "https://example.com/\x00", " https://example.com/"),
        *(
            "https://example.com:0/",
            "https://example.com:99999/",
            "https://example.com:x/",
            "https://[::1/",
            "https://:1/",
        ),
        "https://example.com/" + "x" * 5000,
        *(None, 1, ["https://example.com/"], {"url": "https://example.com/"}),
    ],
)
async def test_invalid_urls_are_refused(ingest: Ingest, url: Any) -> None:
    status, problem = await post(ingest, {"audio_url": url})
    assert (status, problem["code"]) == (400, "invalid_option")
    assert "`audio_url`" in problem["detail"]
    assert await ingest.job_count() == 0


async def test_the_setting_limits_the_schemes(settings: IngestSettings) -> None:
    async with serving(settings, fetch_schemes=("https",)) as ingest:
        status, problem = await post(ingest, {"audio_url": "http://example.com/"})
        assert (status, problem["code"]) == (400, "invalid_option")
        assert "https://" in problem["detail"]
        assert (await post(ingest, {"audio_url": "https://example.com/"}))[0] == 202


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "invalid_json"),
        (b'"https://example.com/"', 400, "invalid_json"),
        (b'{"audio_url": "\xff"}', 400, "invalid_json"),
        (b'{"a":' * 100_00, 400, "invalid_json"),
        (b"{}", 400, "invalid_option"),
        ({"audio_url": URL, "colour": "red"}, 400, "invalid_option"),
        ({"audio_url": URL, "denoise": "false"}, 400, "invalid_option"),
        ({"audio_url": URL, "options": {"language": "en"}}, 400, "invalid_option"),
        ({"audio_url": URL, "prompt": "\x00"}, 400, "invalid_option"),
        ({"audio_url": URL, "prompt": "x" * 300_000}, 413, "too_large"),
        (b" " * (257 << 10), 413, "too_large"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_invalid_bodies_are_refused(ingest: Ingest, body: Any, status: int, code: str) -> None:
    got, problem = await post(ingest, body)
    assert (got, problem["code"]) == (status, code)
    assert await ingest.job_count() == 0


async def test_the_original_route_accepts_no_url(ingest: Ingest) -> None:
    status, problem = await post(ingest, {"audio_url": URL}, "/api/upload-audio")
    assert (status, problem["code"]) == (415, "unsupported_content_type")


async def test_the_route_of_generated_clients_accepts_json_only(ingest: Ingest) -> None:
    status, job = await post(ingest, {"audio_url": URL, "language": "en"}, "/v1/jobs/remote")
    assert (status, job["status"]) == (202, "QUEUED")
    form = aiohttp.FormData({"audio_file": "x"}, default_to_multipart=True)
    for body, headers in ((form, {}), (wav(), {"Content-Type": "audio/wav"}), (b"{}", {})):
        status, problem = await ingest.post(body, "/v1/jobs/remote", headers=headers)
        assert (status, problem["code"]) == (415, "unsupported_content_type")


async def test_openapi_describes_url_submissions(ingest: Ingest) -> None:
    _, document = await ingest.get("/schema/openapi.json")
    operation = document["paths"]["/v1/jobs/remote"]["post"]
    branches = operation["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    for branch, required in zip(branches, ("audio_url", "upload_id"), strict=True):
        schema = document["components"]["schemas"][branch["$ref"].rpartition("/")[2]]
        assert schema["required"] == [required]
        assert {required, "language", "metadata"} <= schema["properties"].keys()
        assert schema["additionalProperties"] is False
    headers = {one["name"] for one in operation["parameters"] if one["in"] == "header"}
    assert headers == {"Prefer", "Idempotency-Key", "Content-Digest", "Repr-Digest"}
    conflicts = operation["responses"]["409"]["content"]["application/problem+json"]["examples"].values()
    assert {example["value"]["code"] for example in conflicts} == {
        *("idempotency_in_progress", "upload_not_there", "upload_claimed")
    }
