"""Read jobs and results over HTTP. The tests write the processor's part to the database."""

import asyncio
from typing import Any

import msgspec
import pytest

from ingest_service.settings import IngestSettings
from shared.blobs import blob_keys
from shared.ids import new_id
from shared.schemas.transcript import Segment, Transcript
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav

TRANSCRIPT = Transcript(
    text="Hello there.",
    language="en",
    duration=1.0,
    segments=(Segment(id=0, start=0.25, end=0.9, text=" Hello there.", confidence=0.9, no_speech_prob=0.0),),
)

VTT_OF_WORDS = (
    "WEBVTT\n\n00:00:00.250 --> 00:00:01.000\n<c>Hello</c> <00:00:00.575><c>there.</c>\n"  # without words: by length
)


async def complete(ingest: Ingest, job_id: str) -> None:
    """Do what the processor does for a short file."""
    (row,) = await ingest.sql(
        "UPDATE jobs SET status = 'COMPLETED', started_at = now(), completed_at = now(), duration_s = 1, "
        "chunk_count = 1 WHERE id = $1 RETURNING id",
        job_id,
    )
    await ingest.sql("UPDATE tasks SET state = 'done', started_at = now() WHERE job_id = $1", job_id)
    await ingest.blobs.put(blob_keys.transcript(row["id"], 1), msgspec.json.encode(TRANSCRIPT))
    await ingest.blobs.put(blob_keys.denoised(row["id"], 1), b"fLaC denoised")


async def test_a_queued_job(ingest: Ingest) -> None:
    first = await ingest.submit(wav())
    second = await ingest.submit(wav(), metadata='{"a":[1.0,null,"ü"],"b":12345678901234567890}')
    status, job = await ingest.get(f"/v1/jobs/{second}")
    assert status == 200
    assert (job["job_id"], job["status"], job["stage"], job["progress"]) == (second, "QUEUED", "prepare", 0)
    assert (job["queue_position"], job["attempts"], job["started_at"], job["error"]) == (2, 0, None, None)
    assert job["metadata"] == {"a": [1.0, None, "ü"], "b": 12345678901234567890}
    assert job["audio"] | {"sha256": ""} == {
        "duration": None, "sample_rate": None, "channels": None, "format": "wav", "bytes": 32044, "sha256": "",
        "tracks": [],
    }  # fmt: skip
    assert (await ingest.get(f"/v1/jobs/{first}"))[1]["queue_position"] == 1


async def test_a_job_shows_its_options_but_neither_secrets_nor_the_url_of_its_webhook(ingest: Ingest) -> None:
    secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    job_id = await ingest.submit(
        wav(), language="en", denoise="false", webhook_url="http://example.com/?token=x", webhook_secret=secret
    )
    await ingest.sql(
        "UPDATE jobs SET options = (options::jsonb || $2::jsonb)::json WHERE id = $1",
        job_id,
        '{"stream_windows": true}',
    )
    _, job = await ingest.get(f"/v1/jobs/{job_id}")
    assert job["options"] == {"language": "en", "denoise": False}
    assert "token" not in str(job)
    assert "whsec_" not in str(job)
    plain = await ingest.submit(wav())
    assert (await ingest.get(f"/v1/jobs/{plain}"))[1]["options"] == {}


async def test_a_completed_job(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await complete(ingest, job_id)
    _, job = await ingest.get(f"/v1/jobs/{job_id}")
    assert (job["status"], job["progress"], job["attempts"], job["queue_position"]) == ("COMPLETED", 1, 1, None)
    assert job["audio"]["duration"] == 1
    assert job["completed_at"].endswith("Z")


async def test_progress_of_chunks_and_the_next_attempt(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await ingest.sql(
        "UPDATE jobs SET status = 'PROCESSING', started_at = now(), chunk_count = 2, "
        """warnings = '[{"code": "decode_errors", "message": "x", "start": 1.5}]' WHERE id = $1""",
        job_id,
    )
    await ingest.sql("UPDATE tasks SET state = 'done', progress = 1 WHERE job_id = $1", job_id)
    insert = "INSERT INTO tasks (id, job_id, kind, ordinal, state, attempts, progress, not_before) "
    await ingest.sql(insert + "VALUES ($1, $2, 'chunk', 0, 'running', 2, 0.5, NULL)", new_id(), job_id)
    await ingest.sql(insert + "VALUES ($1, $2, 'chunk', 1, 'waiting', 1, 0, '2040-01-01')", new_id(), job_id)
    await ingest.sql(insert + "VALUES ($1, $2, 'deliver', 0, 'waiting', 9, 0, '2039-01-01')", new_id(), job_id)
    _, job = await ingest.get(f"/v1/jobs/{job_id}")
    assert job["progress"] == pytest.approx(0.1 + 0.85 * 0.25, abs=0.001)
    assert (job["attempts"], job["next_attempt_at"][:4]) == (3, "2040")
    assert job["warnings"][0]["start"] == 1.5


async def test_the_list_and_its_cursor(ingest: Ingest) -> None:
    ids = [await ingest.submit(wav()) for _ in range(5)]
    await complete(ingest, ids[1])
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        _, page = await ingest.get("/v1/jobs", params={"limit": "2", **cursor})
        seen += [job["job_id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == ids[::-1]
    _, queued = await ingest.get("/v1/jobs", params={"status": "QUEUED"})
    assert [job["queue_position"] for job in queued["jobs"]] == [4, 3, 2, 1]
    _, completed = await ingest.get("/v1/jobs", params={"status": "COMPLETED"})
    assert [job["job_id"] for job in completed["jobs"]] == [ids[1]]


async def test_other_tenants_jobs_are_hidden(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await complete(ingest, job_id)
    await ingest.sql("UPDATE jobs SET tenant = 'other'")
    for path in (f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/transcript", f"/v1/jobs/{job_id}/audio"):
        assert (await ingest.get(path))[0] == 404
    assert (await ingest.get("/v1/jobs"))[1]["jobs"] == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "status=DONE", "cursor=x", "cursor=", "limit=-1", "cursor=%00"]
)
async def test_wrong_list_parameters_are_named(ingest: Ingest, query: str) -> None:
    status, problem = await ingest.get(f"/v1/jobs?{query}")
    assert (status, problem["code"]) == (400, "invalid_parameter")
    assert query.partition("=")[0] in problem["detail"]


@pytest.mark.parametrize(
    "path", ["/v1/jobs/x", "/v1/jobs/{id}", "/v1/jobs/{id}/transcript", "/v1/jobs/{id}/audio", "/no"]
)
async def test_not_found(ingest: Ingest, path: str) -> None:
    async with ingest.client.get(ingest.url + path.format(id=new_id())) as answer:
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"
        assert (await answer.json(content_type=None))["code"] == "not_found"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/v1/job", "`/docs`"),
        ("/audio/transcriptions", "end with one `/v1`"),
        ("/v1/v1/audio/translations/", "end with one `/v1`"),
        ("/models", "end with one `/v1`"),
    ],
)
async def test_a_path_without_a_route_is_answered_with_what_to_do(ingest: Ingest, path: str, hint: str) -> None:
    async with ingest.client.post(ingest.url + path) as answer:
        assert answer.status == 404
        assert hint in await answer.text()


async def test_wrong_method(ingest: Ingest) -> None:
    async with ingest.client.put(ingest.url + "/v1/jobs") as answer:
        problem = await answer.json(content_type="application/problem+json")
        assert (answer.status, problem["code"]) == (405, "method_not_allowed")
        assert "POST" in answer.headers["Allow"]
        assert answer.headers["Allow"] in problem["detail"]


@pytest.mark.parametrize(
    ("wanted", "content_type", "text"),
    [
        ("txt", "text/plain", "Hello there.\n"),
        ("srt", "application/x-subrip", "1\n00:00:00,250 --> 00:00:01,000\nHello there.\n"),
        ("rttm", "text/plain", ""),
        ("tsv", "text/tab-separated-values", "start\tend\ttext\n250\t900\tHello there.\n"),
        ("srt&max_chars=10", "application/x-subrip", "1\n00:00:00,250 --> 00:00:01,000\nHello\nthere.\n"),
        ("lrc", "text/plain", "[la:en]\n[length:00:01]\n[00:00.25]Hello there.\n[00:00.90]\n"),
        ("vtt&words=true", "text/vtt", VTT_OF_WORDS),
        ("vtt", "text/vtt", "WEBVTT\n\n00:00:00.250 --> 00:00:01.000\nHello there.\n"),
    ],
)
async def test_transcript_formats(ingest: Ingest, wanted: str, content_type: str, text: str) -> None:
    job_id = await ingest.submit(wav())
    await complete(ingest, job_id)
    async with ingest.client.get(f"{ingest.url}/v1/jobs/{job_id}/transcript?format={wanted}") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, f"{content_type}; charset=utf-8")
        assert await answer.text() == text


@pytest.mark.parametrize(
    "query",
    ["max_chars=9", "max_chars=201", "max_chars=x", "max_lines=0", "max_lines=5", "max_seconds=0.5", "max_seconds=nan"],
)
async def test_invalid_subtitle_sizes_are_named(ingest: Ingest, query: str) -> None:
    job_id = await ingest.submit(wav())
    await complete(ingest, job_id)
    status, problem = await ingest.get(f"/v1/jobs/{job_id}/transcript?format=srt&{query}")
    assert (status, problem["code"]) == (400, "invalid_parameter")
    assert query.partition("=")[0] in problem["detail"]


async def test_the_settings_have_the_default_subtitle_size(settings: IngestSettings) -> None:
    async with serving(settings, subtitle_max_chars=10, subtitle_max_lines=1) as ingest:
        job_id = await ingest.submit(wav())
        await complete(ingest, job_id)
        async with ingest.client.get(f"{ingest.url}/v1/jobs/{job_id}/transcript?format=vtt") as answer:
            assert [len(cue.splitlines()) for cue in (await answer.text()).split("\n\n")] == [1, 2, 2]


async def test_transcript_as_json_and_wrong_format(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await complete(ingest, job_id)
    status, body = await ingest.get(f"/v1/jobs/{job_id}/transcript")
    assert (status, msgspec.convert(body, Transcript)) == (200, TRANSCRIPT)
    status, problem = await ingest.get(f"/v1/jobs/{job_id}/transcript?format=pdf")
    assert (status, problem["code"]) == (400, "invalid_parameter")
    assert "format" in problem["detail"]


@pytest.mark.parametrize(
    ("job_status", "code"),
    [("QUEUED", "not_ready"), ("PROCESSING", "not_ready"), ("FAILED", "job_failed"), ("CANCELLED", "job_cancelled")],
)
async def test_results_that_are_not_ready(ingest: Ingest, job_status: str, code: str) -> None:
    job_id = await ingest.submit(wav())
    await ingest.sql("UPDATE jobs SET status = $1, error_code = 'internal', error_message = 'Why.'", job_status)
    for path in ("transcript", "audio?variant=denoised"):
        status, problem = await ingest.get(f"/v1/jobs/{job_id}/{path}")
        assert (status, problem["code"]) == (409, code)
    async with ingest.client.get(f"{ingest.url}/v1/jobs/{job_id}/audio") as answer:
        assert await answer.read() == wav()


async def fetch(ingest: Ingest, path: str, **headers: str) -> tuple[int, Any, bytes]:
    async with ingest.client.get(ingest.url + path, headers=headers) as answer:
        return answer.status, answer.headers, await answer.read()


async def test_audio_whole_and_in_ranges(ingest: Ingest) -> None:
    audio = wav(3 << 20)
    job_id = await ingest.submit(audio)
    path = f"/v1/jobs/{job_id}/audio"
    status, headers, body = await fetch(ingest, path)
    assert (status, body, headers["Content-Type"], headers["Accept-Ranges"]) == (200, audio, "audio/wav", "bytes")
    assert headers["Content-Disposition"] == f'attachment; filename="{job_id}.wav"'
    assert headers["X-Content-Type-Options"] == "nosniff"
    status, headers, body = await fetch(ingest, path, Range="bytes=1000-2100000")
    assert (status, body) == (206, audio[1000:2100001])
    assert headers["Content-Range"] == f"bytes 1000-2100000/{len(audio)}"
    assert headers["Content-Length"] == "2099001"
    status, headers, body = await fetch(ingest, path, Range=f"bytes={len(audio)}-")
    assert (status, headers["Content-Range"]) == (416, f"bytes */{len(audio)}")
    assert msgspec.json.decode(body)["code"] == "range_not_satisfiable"
    async with ingest.client.head(ingest.url + path) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(audio)))


async def test_denoised_audio(ingest: Ingest) -> None:
    job_id, plain = await ingest.submit(wav()), await ingest.submit(wav(), denoise="false")
    for each in (job_id, plain):
        await complete(ingest, each)
    status, headers, body = await fetch(ingest, f"/v1/jobs/{job_id}/audio?variant=denoised")
    assert (status, headers["Content-Type"], body) == (200, "audio/flac", b"fLaC denoised")
    status, problem = await ingest.get(f"/v1/jobs/{plain}/audio?variant=denoised")
    assert (status, problem["code"]) == (404, "no_denoised_audio")
    assert (await ingest.get(f"/v1/jobs/{job_id}/audio?variant=x"))[0] == 400


NOT_SEEN = {"status": "not_seen", "seen_s_ago": None}


async def test_health_and_schema(ingest: Ingest) -> None:
    assert await ingest.get("/health/live") == (200, {"status": "alive"})
    assert await ingest.get("/health/ready") == (200, {"ready": True, "away": [], "processors": NOT_SEEN})
    for path in ("/schema", "/schema/openapi.json"):
        status, document = await ingest.get(path)
        assert status == 200
        upload = document["paths"]["/v1/jobs"]["post"]
        form = upload["requestBody"]["content"]["multipart/form-data"]
        schema = document["components"]["schemas"][form["schema"]["$ref"].rpartition("/")[2]]
        assert schema["properties"]["audio_file"]["format"] == "binary"
        assert "language" in schema["properties"]
        assert form["examples"]
        assert {"202", "400", "413", "415", "503", "507"} <= set(upload["responses"])
        assert upload["responses"]["415"]["content"]["application/problem+json"]["examples"]


async def test_concurrent_uploads(settings: IngestSettings) -> None:
    async with serving(settings) as ingest:
        ids = await asyncio.gather(*(ingest.submit(wav()) for _ in range(100)))
        assert len(set(ids)) == 100 == await ingest.job_count()
