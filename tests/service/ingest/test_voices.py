"""`/v1/voices`: voices of a tenant. They are off by default, bounded, and deleted with their embeddings."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from ingest_service.jobs.voices import MAX_VOICES, MAX_WAITING
from ingest_service.settings import IngestSettings
from shared.ids import new_id
from tests.support.ingest import records
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav

TIMES = [[0.5, 4]]
MANY = """
    INSERT INTO voices (id, tenant, name, sample)
    SELECT gen_random_uuid(), 'default', 'Ann', $2 FROM generate_series(1, $1)
"""
READ = """
    UPDATE voices SET sample = NULL, embedding = $2, speech_s = 3.5, failure = $3 WHERE id = $1
"""


@pytest.fixture
def settings(settings: IngestSettings) -> IngestSettings:
    return msgspec.structs.replace(settings, voices=True)


async def add(ingest: Ingest, body: Any, **more: Any) -> tuple[int, dict[str, Any]]:
    async with ingest.client.post(f"{ingest.url}/v1/voices", json=body, **more) as answer:
        return answer.status, await answer.json()


async def added(ingest: Ingest, name: str = "Ann") -> str:
    status, voice = await add(ingest, {"name": name, "job_id": await ingest.submit(wav()), "times": TIMES})
    assert status == 202, voice
    return str(voice["voice_id"])


async def delete(ingest: Ingest, voice_id: str) -> int:
    async with ingest.client.delete(f"{ingest.url}/v1/voices/{voice_id}") as answer:
        return answer.status


async def test_a_voice_waits_until_a_processor_has_read_its_sample(ingest: Ingest) -> None:
    voice_id = await added(ingest, "  Zoë   Ann ")
    status, voice = await ingest.get(f"/v1/voices/{voice_id}")
    assert (status, voice["name"], voice["status"], voice["speech_s"]) == (200, "Zoë Ann", "waiting", None)

    await ingest.sql(READ, UUID(voice_id), bytes(384), None)
    _, voice = await ingest.get(f"/v1/voices/{voice_id}")
    assert (voice["status"], voice["speech_s"], voice["error"]) == ("ready", 3.5, None)

    await ingest.sql(READ, UUID(voice_id), None, "Why.")
    _, voice = await ingest.get(f"/v1/voices/{voice_id}")
    assert (voice["status"], voice["error"]) == ("failed", "Why.")
    assert (await ingest.get("/v1/voices"))[1] == {"voices": [voice]}


async def test_a_deleted_voice_leaves_no_row(ingest: Ingest) -> None:
    voice_id = await added(ingest)
    assert await delete(ingest, voice_id) == 204
    assert await ingest.sql("SELECT 1 FROM voices") == []
    assert await delete(ingest, voice_id) == 404
    assert (await ingest.get(f"/v1/voices/{voice_id}"))[1]["code"] == "not_found"


async def test_voices_are_deleted_with_their_tenant(ingest: Ingest) -> None:
    await ingest.sql("INSERT INTO tenants (name) VALUES ('gone')")
    await ingest.sql("INSERT INTO voices (id, tenant, name) VALUES ($1, 'gone', 'Ann')", new_id())
    await ingest.sql("DELETE FROM webhook_secrets WHERE tenant = 'gone'")
    await ingest.sql("DELETE FROM tenants WHERE name = 'gone'")
    assert await ingest.sql("SELECT 1 FROM voices") == []


NEVER = "019aa3c5-7a3e-7bd0-9c46-0d6c2f1f7f10"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"name": "Ann"}, 400, "job_id"),
        ({"name": "Ann", "job_id": NEVER, "upload_id": NEVER}, 400, "upload_id"),
        ({"name": "Ann", "job_id": "1"}, 400, "job_id"),
        ({"name": "", "job_id": NEVER}, 400, "name"),
        ({"name": "\u202eAnn", "job_id": NEVER}, 400, "control character"),
        ({"name": "SPEAKER_00", "job_id": NEVER}, 400, "SPEAKER_"),
        ({"name": "Ann", "job_id": NEVER, "times": []}, 400, "times"),
        ({"name": "Ann", "job_id": NEVER, "times": [[2, 1]]}, 400, "times"),
        ({"name": "Ann", "job_id": NEVER, "times": [[0, 301]]}, 400, "300 seconds"),
        ({"name": "Ann", "job_id": NEVER, "times": [[0, 1]] * 21}, 400, "times"),
        ({"name": "Ann", "job_id": NEVER, "colour": 1}, 400, "colour"),
        ({"name": "Ann", "job_id": NEVER}, 404, "job"),
        ({"name": "Ann", "upload_id": NEVER}, 404, "Upload"),
    ],
)
async def test_what_is_refused(ingest: Ingest, body: Any, status: int, said: str) -> None:
    got, problem = await add(ingest, body)
    assert got == status, problem
    assert said in str(problem)
    assert await ingest.sql("SELECT 1 FROM voices") == []


async def test_an_erased_job_has_no_voice(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    async with ingest.client.delete(f"{ingest.url}/v1/jobs/{job_id}") as answer:
        assert answer.status == 204
    assert (await add(ingest, {"name": "Ann", "job_id": job_id}))[0] == 404


async def test_the_voices_of_a_tenant_are_bounded(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    await ingest.sql(MANY, MAX_WAITING, "{}")
    status, problem = await add(ingest, {"name": "Ann", "job_id": job_id})
    assert (status, problem["code"]) == (429, "quota_exceeded")
    assert "voices_waiting" in problem["detail"]

    await ingest.sql("UPDATE voices SET sample = NULL")
    await ingest.sql(MANY, MAX_VOICES - MAX_WAITING, None)
    status, problem = await add(ingest, {"name": "Ann", "job_id": job_id})
    assert (status, "`voices`" in problem["detail"]) == (429, True)


async def test_another_tenant_neither_sees_nor_names_a_job_or_a_voice(settings: IngestSettings) -> None:
    owner, stranger = await new_key(settings, "acme"), await new_key(settings, "globex")
    async with guarded(settings) as ingest:
        _, job = await ingest.post(wav(), headers={"Content-Type": "audio/wav", **bearer(owner.key)})
        body = {"name": "Ann", "job_id": job["job_id"]}
        assert (await add(ingest, body, headers=bearer(stranger.key)))[0] == 404
        status, voice = await add(ingest, body, headers=bearer(owner.key))
        assert status == 202

        path = f"/v1/voices/{voice['voice_id']}"
        assert (await ingest.get(path, headers=bearer(owner.key)))[0] == 200
        assert (await ingest.get(path, headers=bearer(stranger.key)))[0] == 404
        assert (await ingest.get("/v1/voices", headers=bearer(stranger.key)))[1] == {"voices": []}
        async with ingest.client.delete(ingest.url + path, headers=bearer(stranger.key)) as answer:
            assert answer.status == 404
        assert len(await ingest.sql("SELECT 1 FROM voices")) == 1


async def test_a_service_without_voices_says_so(settings: IngestSettings) -> None:
    async with serving(msgspec.structs.replace(settings, voices=False)) as ingest:
        job_id = await ingest.submit(wav(), diarize="true")
        await records.complete(ingest, job_id)
        for status, problem in (
            await ingest.get("/v1/voices"),
            await ingest.get(f"/v1/voices/{NEVER}"),
            await add(ingest, {"name": "Ann", "job_id": job_id}),
            await ingest.post(wav(), params={"diarize": "true", "voices": "true"}),
            await ingest.post(
                wav(), params={"diarize": "true", "known_speakers": f'[{{"name": "Ann", "voice": "{NEVER}"}}]'}
            ),
            await ingest.post(b'{"voices": true}', path=f"/v1/jobs/{job_id}/diarize"),
        ):
            assert (status, problem["code"]) == (400, "no_voices")
        known = f'[{{"name": "Ann", "job_id": "{NEVER}"}}]'
        assert (await ingest.post(wav(), params={"diarize": "true", "known_speakers": known}))[0] == 202
