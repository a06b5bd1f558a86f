"""Samples of voices: found for their tenant only, and read by one processor at a time."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from processor_service.stages.keep_voices import AGAIN_AFTER_S, CLAIM, CLAIMED_S, KEEP, RELEASE
from processor_service.stages.voice_store import SampleError, VoiceStore, known_voice
from shared.blobs import blob_keys
from shared.ids import new_id
from shared.schemas.known_speakers import VoiceSample

ADD_JOB = """
INSERT INTO jobs (id, tenant, options, container, audio_erased_at, erased_at)
VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN now() END, CASE WHEN $6 THEN now() END)
"""
ADD_VOICE = "INSERT INTO voices (id, tenant, name, sample, embedding, failure) VALUES ($1, $2, $3, $4, $5, $6)"


@pytest.fixture(autouse=True)
async def _tenants(database: asyncpg.Pool) -> None:
    await database.execute("INSERT INTO tenants (name) VALUES ('acme'), ('globex')")


async def add_job(database: asyncpg.Pool, tenant: str = "acme", *, container: str | None = "wav", **gone: bool) -> UUID:
    job_id = new_id()
    lost = gone.get("audio_erased", False), gone.get("erased", False)
    await database.execute(ADD_JOB, job_id, tenant, '{"track":2}', container, *lost)
    return job_id


async def add_voice(database: asyncpg.Pool, tenant: str = "acme", **fields: Any) -> UUID:
    voice_id = new_id()
    values: Mapping[str, Any] = {"name": "Ann", "sample": None, "embedding": None, "failure": None} | fields
    await database.execute(ADD_VOICE, voice_id, tenant, *values.values())
    return voice_id


def sample_of(job_id: UUID) -> VoiceSample:
    return VoiceSample(name="Ann", job_id=job_id)


async def test_the_audio_of_a_job_is_found_with_its_track(database: asyncpg.Pool) -> None:
    job_id = await add_job(database)
    source = await VoiceStore(database, "acme").source_of(sample_of(job_id))
    assert (source.key, source.track) == (blob_keys.source(job_id), 2)


async def test_a_job_of_another_tenant_is_not_found(database: asyncpg.Pool) -> None:
    job_id = await add_job(database)
    with pytest.raises(SampleError, match="not found"):
        await VoiceStore(database, "globex").source_of(sample_of(job_id))


@pytest.mark.parametrize(
    ("job", "why"),
    [
        ({"audio_erased": True}, "erased"),
        ({"erased": True}, "not found"),
        ({"container": None}, "not stored yet"),
    ],
)
async def test_a_job_without_audio_is_no_sample(database: asyncpg.Pool, job: dict[str, Any], why: str) -> None:
    job_id = await add_job(database, **job)
    with pytest.raises(SampleError, match=why):
        await VoiceStore(database, "acme").source_of(sample_of(job_id))


async def test_an_upload_is_a_sample_until_it_is_a_job(database: asyncpg.Pool) -> None:
    upload_id, job_id = new_id(), await add_job(database)
    await database.execute("INSERT INTO direct_uploads (id, tenant) VALUES ($1, 'acme')", upload_id)
    sample = VoiceSample(name="Ann", upload_id=upload_id)

    assert (await VoiceStore(database, "acme").source_of(sample)).key == blob_keys.direct(upload_id)
    with pytest.raises(SampleError, match="not found"):
        await VoiceStore(database, "globex").source_of(sample)
    await database.execute("UPDATE direct_uploads SET job_id = $1", job_id)
    with pytest.raises(SampleError, match="is a job"):
        await VoiceStore(database, "acme").source_of(sample)


async def test_only_voices_of_the_tenant_are_found(database: asyncpg.Pool) -> None:
    own = await add_voice(database, embedding=b"1")
    other = await add_voice(database, "globex", embedding=b"2")
    store = VoiceStore(database, "acme")

    assert [voice.id for voice in await store.voices([], all_=True)] == [own]
    assert [voice.id for voice in await store.voices([own, other], all_=False)] == [own]
    assert await store.voices([], all_=False) == []


async def test_a_voice_without_its_embedding_says_why(database: asyncpg.Pool) -> None:
    await add_voice(database, embedding=b"1")
    await add_voice(database, sample="{}")
    await add_voice(database, failure="Too short.")
    ready, waiting, failed = await VoiceStore(database, "acme").voices([], all_=True)

    assert known_voice("Ben", ready).name == "Ben"
    for voice, why in ((waiting, "not ready"), (failed, "Too short"), (None, "not found")):
        with pytest.raises(SampleError, match=why):
            known_voice("Ann", voice)


async def claim(database: asyncpg.Pool) -> Any:
    return await database.fetchrow(CLAIM, CLAIMED_S)


async def test_each_sample_is_claimed_once_and_tenants_alternate(database: asyncpg.Pool) -> None:
    text = msgspec.json.encode(sample_of(new_id())).decode()
    acme = [await add_voice(database, sample=text) for _ in range(2)]
    globex = await add_voice(database, "globex", sample=text)

    claimed = [await claim(database) for _ in range(4)]

    assert [row and row["id"] for row in claimed] == [acme[0], globex, acme[1], None]
    assert msgspec.json.decode(claimed[0]["sample"], type=VoiceSample) == msgspec.json.decode(text, type=VoiceSample)


async def test_a_sample_whose_processor_died_is_read_again_and_its_late_result_is_refused(
    database: asyncpg.Pool,
) -> None:
    voice_id = await add_voice(database, sample="{}")
    first = await claim(database)
    await database.execute("UPDATE voices SET claimed_until = now() - interval '1 s'")
    second = await claim(database)
    assert (first["attempts"], second["attempts"]) == (1, 2)

    assert await database.execute(KEEP, voice_id, first["attempts"], b"late", 3.0, None) == "UPDATE 0"
    assert await database.execute(KEEP, voice_id, second["attempts"], b"kept", 3.0, None) == "UPDATE 1"
    row = await database.fetchrow("SELECT embedding, sample, claimed_until FROM voices")
    assert tuple(row) == (b"kept", None, None)
    assert await claim(database) is None


async def test_a_sample_that_could_not_be_read_now_waits(database: asyncpg.Pool) -> None:
    voice_id = await add_voice(database, sample="{}")
    claimed = await claim(database)
    await database.execute(RELEASE, voice_id, claimed["attempts"], AGAIN_AFTER_S)
    assert await claim(database) is None
    left_s = await database.fetchval("SELECT extract(epoch FROM claimed_until - now()) FROM voices")
    assert 0 < left_s <= AGAIN_AFTER_S
