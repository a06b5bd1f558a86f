"""What clients get of a job whose results are redacted, and who gets what was redacted."""

from uuid import UUID

import msgspec
import pytest

from ingest_service.auth.caller import Scope
from ingest_service.settings import IngestSettings
from shared.blobs import blob_keys
from shared.schemas.transcript import Transcript
from tests.support.ingest import records
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav


def _stored(text: str) -> bytes:
    return msgspec.json.encode(Transcript(text=text, language="en", duration=1.0, segments=()))


REDACTED_TEXT, ORIGINAL_TEXT = _stored("[CARD]"), _stored("4111")
REDACTED_AUDIO = b"fLaC redacted"


async def _submit(ingest: Ingest, headers: dict[str, str], **options: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in options.items())
    status, job = await ingest.post(wav(), headers=headers | WAV_TYPE, path=f"/v1/jobs?{query}")
    assert status == 202, job
    return str(job["job_id"])


async def _complete(ingest: Ingest, job_id: str) -> None:
    for key, data in (
        (blob_keys.transcript, REDACTED_TEXT),
        (blob_keys.original_transcript, ORIGINAL_TEXT),
        (blob_keys.redacted_audio, REDACTED_AUDIO),
    ):
        await ingest.blobs.put(key(UUID(job_id), 1), data)
    await records.complete(ingest, job_id)


async def _body(ingest: Ingest, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    async with ingest.client.get(ingest.url + path, headers=headers) as answer:
        return answer.status, await answer.read()


async def test_the_redacted_copy_is_served_instead_of_the_upload(settings: IngestSettings) -> None:
    reader = bearer((await new_key(settings, "acme", Scope.SUBMIT, Scope.READ)).key)
    async with guarded(settings) as ingest:
        job_id = await _submit(ingest, reader, redact="card", redact_audio="tone", redact_keep_original="true")
        audio = f"/v1/jobs/{job_id}/audio"
        assert (await _body(ingest, audio, reader))[0] == 409  # before it is redacted
        await _complete(ingest, job_id)

        assert await _body(ingest, audio, reader) == (200, REDACTED_AUDIO)
        assert await _body(ingest, f"/v1/jobs/{job_id}/transcript", reader) == (200, REDACTED_TEXT)
        async with ingest.client.head(ingest.url + audio, headers=reader) as answer:
            assert answer.headers["Content-Length"] == str(len(REDACTED_AUDIO))
            assert answer.headers["Content-Disposition"] == f'attachment; filename="{job_id}.redacted.flac"'


@pytest.mark.parametrize("path", ["audio", "transcript", "transcript/text"])
async def test_only_an_admin_gets_what_was_redacted(settings: IngestSettings, path: str) -> None:
    reader = bearer((await new_key(settings, "acme", Scope.SUBMIT, Scope.READ)).key)
    admin = bearer((await new_key(settings, "acme", Scope.READ, Scope.ADMIN)).key)
    other = bearer((await new_key(settings, "globex")).key)
    async with guarded(settings) as ingest:
        job_id = await _submit(ingest, reader, redact="card", redact_audio="tone", redact_keep_original="true")
        await _complete(ingest, job_id)
        original = f"/v1/jobs/{job_id}/{path}?redacted=false"

        assert (await _body(ingest, original, reader))[0] == 403
        assert (await _body(ingest, original, other))[0] == 404
        status, body = await _body(ingest, original, admin)
        assert status == 200
        assert body == wav() if path == "audio" else b"[CARD]" not in body


async def test_what_was_not_kept_is_not_there(settings: IngestSettings) -> None:
    admin = bearer((await new_key(settings, "acme")).key)
    async with guarded(settings) as ingest:
        for options in ({"redact": "card"}, {"profanity": "mask"}):
            job_id = await _submit(ingest, admin, **options)
            await _complete(ingest, job_id)
            for path in ("audio", "transcript"):
                status, problem = await ingest.get(f"/v1/jobs/{job_id}/{path}?redacted=false", headers=admin)
                assert (status, problem["code"]) == (404, "no_original")


async def test_a_plain_job_has_nothing_redacted(settings: IngestSettings) -> None:
    admin = bearer((await new_key(settings, "acme")).key)
    async with guarded(settings) as ingest:
        job_id = await _submit(ingest, admin)
        await _complete(ingest, job_id)
        for query in ("", "?redacted=false"):
            assert await _body(ingest, f"/v1/jobs/{job_id}/transcript{query}", admin) == (200, REDACTED_TEXT)
            assert await _body(ingest, f"/v1/jobs/{job_id}/audio{query}", admin) == (200, wav())


async def test_an_erased_job_leaves_no_blob(settings: IngestSettings) -> None:
    admin = bearer((await new_key(settings, "acme")).key)
    async with guarded(settings) as ingest:
        job_id = await _submit(ingest, admin, redact="card", redact_audio="tone", redact_keep_original="true")
        await _complete(ingest, job_id)
        async with ingest.client.delete(f"{ingest.url}/v1/jobs/{job_id}", headers=admin) as answer:
            assert answer.status in {200, 202, 204}
        assert [blob.key async for page in ingest.blobs.walk(blob_keys.job(UUID(job_id))) for blob in page] == []
