"""Two versions run at once, as in an upgrade: the code before the newest migration, and the current code.

They share one database, one Redis and one blob store, after `--phase pre`. Each version processes the uploads of the
other, and both give the same answers about a job.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from deploy.local.postgres import Postgres, create_service_role
from deploy.local.valkey import Valkey
from deploy.migrate import Phase, find_due, migrate
from tests.support.acceptance.client import Client, Receiver
from tests.support.contracts.old_code import before_newest_migration, extract, needs_superuser
from tests.support.contracts.two_versions import A_COLUMN_EACH
from tests.support.contracts.version import Version
from tests.support.databases import new_database
from tests.support.ingest.tus_client import Tus
from tests.support.servers import SERVICE_PASSWORD
from tests.support.stack.launched import ROOT
from tests.tools.chaos.golden import Golden, golden
from tests.tools.chaos.sounds import damaged, speech_wav

pytestmark = pytest.mark.slow
SECRET = "whsec_" + "dHdvLXZlcnNpb25zLXNpZ24td2l0aC1vbmUtc2VjcmV0"
THRESHOLD_S, CHUNK_S = 4.0, 2.0
SETTINGS = {
    "AUTH": "none",
    "INGEST_PROCESSES": "1",
    "TRANSCRIBER": "scripted",
    "CHUNK_THRESHOLD_S": str(THRESHOLD_S),
    "CHUNK_S": str(CHUNK_S),
    "RETRY_WAITS_S": "0.1",
    "WEBHOOK_ALLOW_PRIVATE": "loopback",
    "WEBHOOK_SECRET": SECRET,
    "LOG_LEVEL": "WARNING",
}


class Upgrade(msgspec.Struct, frozen=True, kw_only=True):
    """The two versions, a running ingest of each, and the URL of the database's owner."""

    old: Version
    new: Version
    old_ingest: Client
    new_ingest: Client
    receiver: Receiver
    owner_url: str
    short: Golden  # a recording that is processed under one lease
    long: Golden  # a recording of several chunks


@pytest_asyncio.fixture(scope="module")
async def upgrade(
    postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Upgrade]:
    commit = before_newest_migration()
    folder = tmp_path_factory.mktemp("upgrade")
    extract(commit, folder / "old")
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(new_database(postgres, "template0"))
        stores = {"REDIS_URL": valkey.url, "STORAGE_URL": (folder / "blobs").as_uri()}
        owning = Version(root=folder / "old", settings={**SETTINGS, **stores, "DATABASE_URL": url})
        assert await owning.run("-c", "import shared; print(shared.__file__)") == str(folder / "old/shared/__init__.py")
        assert "applied 0001_jobs_and_tasks" in await owning.run("-m", "deploy.migrate")
        ordinary = {**owning.settings, "DATABASE_URL": await create_service_role(url, SERVICE_PASSWORD)}
        old = owning if needs_superuser(commit) else Version(root=folder / "old", settings=ordinary)
        old_ingest = await stack.enter_async_context(old.ingest())
        short = golden(speech_wav(3), folder / "short", threshold_s=THRESHOLD_S, chunk_s=CHUNK_S)
        async with old.processor():
            await expect_golden_transcript(old_ingest, short)
            assert await migrate(url, phase=Phase.PRE)
            await expect_golden_transcript(old_ingest, short)  # processes started before the migration keep working
        await create_service_role(url, SERVICE_PASSWORD)  # grants access to the new tables
        new = Version(root=ROOT, settings=ordinary)
        yield Upgrade(
            old=old,
            new=new,
            old_ingest=old_ingest,
            new_ingest=await stack.enter_async_context(new.ingest()),
            receiver=await stack.enter_async_context(Receiver(SECRET).listening()),
            owner_url=url,
            short=short,
            long=golden(speech_wav(10), folder / "long", threshold_s=THRESHOLD_S, chunk_s=CHUNK_S),
        )


async def expect_golden_transcript(ingest: Client, recording: Golden) -> None:
    job = await ingest.submit(recording.wav)
    assert (await ingest.ended(job))["status"] == "COMPLETED"
    assert (await ingest.transcript(job))["text"] == recording.text


async def test_a_new_processor_processes_uploads_of_an_old_ingest(upgrade: Upgrade) -> None:
    async with upgrade.new.processor():
        await expect_short_and_long_processed(upgrade, upgrade.old_ingest)


async def test_an_old_processor_processes_uploads_of_a_new_ingest(upgrade: Upgrade) -> None:
    async with upgrade.old.processor():
        await expect_short_and_long_processed(upgrade, upgrade.new_ingest)


async def test_both_versions_share_the_work_of_long_files(upgrade: Upgrade) -> None:
    async with upgrade.old.processor(), upgrade.new.processor():
        clients = [upgrade.old_ingest, upgrade.new_ingest] * 3
        jobs = await asyncio.gather(*(submit(upgrade, client, upgrade.long.wav) for client in clients))
        for client, job in zip(reversed(clients), jobs, strict=True):
            assert (await client.ended(job))["status"] == "COMPLETED"
            assert (await client.transcript(job))["text"] == upgrade.long.text
        await expect_events(upgrade, dict.fromkeys(jobs, "job.completed"))


async def test_an_upload_started_at_one_ingest_is_completed_at_the_other(upgrade: Upgrade) -> None:
    audio = upgrade.short.wav
    half = len(audio) // 2
    async with upgrade.new.processor():
        for first, second in [
            (upgrade.old_ingest, upgrade.new_ingest),
            (upgrade.new_ingest, upgrade.old_ingest),
        ]:
            begin, end = Tus(first.http, ""), Tus(second.http, "")
            path = await begin.created(len(audio))
            assert (await begin.request("PATCH", path, audio[:half], Upload_Offset="0")).status == 204
            answer = await end.request("PATCH", path, audio[half:], Upload_Offset=str(half))
            assert answer.status == 204
            job = answer.headers["Headrace-Job-Id"]
            assert (await first.ended(job))["status"] == "COMPLETED"


async def test_each_version_reads_and_redrives_dead_letters_of_the_other(upgrade: Upgrade) -> None:
    for processor, of, by in [
        (upgrade.old.processor, upgrade.old_ingest, upgrade.new_ingest),
        (upgrade.new.processor, upgrade.new_ingest, upgrade.old_ingest),
    ]:
        async with processor():
            job = await submit(upgrade, of, damaged(upgrade.short.wav))
            assert (await by.ended(job))["status"] == "FAILED"
            await expect_events(upgrade, {job: "job.failed"})
            (letter,) = [each for each in await dead_letters(by) if each["job_id"] == job]
            assert (letter["generation"], letter["code"]) == (1, "undecodable_audio")
            async with by.http.post(f"/v1/dead-letters/{job}/redrive") as answer:
                assert answer.status == 202, await answer.text()
            await expect_events(upgrade, {job: "job.failed"})
        (letter,) = [each for each in await dead_letters(of) if each["job_id"] == job]
        assert letter["generation"] == 2


async def test_this_version_keeps_working_when_every_table_gets_a_new_column(upgrade: Upgrade) -> None:
    async with upgrade.new.processor():
        for recording in (upgrade.short, upgrade.long):
            await expect_golden_transcript(upgrade.new_ingest, recording)
        await execute(upgrade.owner_url, A_COLUMN_EACH)
        for recording in (upgrade.short, upgrade.long):
            await expect_golden_transcript(upgrade.new_ingest, recording)


async def test_the_post_phase_leaves_no_migration_pending(upgrade: Upgrade) -> None:
    await migrate(upgrade.owner_url, phase=Phase.POST)
    assert await find_due(upgrade.owner_url) == []


async def expect_short_and_long_processed(upgrade: Upgrade, ingest: Client) -> None:
    """Submit a short file (one lease) and a long file (chunks). Both ingests must give the same answers about them."""
    short = await submit(upgrade, ingest, upgrade.short.wav, metadata={"a": [1, "é"]})
    long = await submit(upgrade, ingest, upgrade.long.wav, diarize=False, prompt="Names", language="en")
    for job, expected in ((short, upgrade.short), (long, upgrade.long)):
        assert (await ingest.ended(job))["status"] == "COMPLETED"
        by_old, by_new = [await seen(client, job) for client in (upgrade.old_ingest, upgrade.new_ingest)]
        assert {name: by_new["job"][name] for name in by_old["job"]} == by_old["job"]
        assert (by_old["text"], by_old["denoised"]) == (by_new["text"], by_new["denoised"])
        assert by_new["text"]["text"] == expected.text
        assert by_new["denoised"][:4] == b"fLaC"
    await expect_events(upgrade, {short: "job.completed", long: "job.completed"})


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


async def submit(upgrade: Upgrade, ingest: Client, audio: bytes, **options: object) -> str:
    return await ingest.submit(audio, webhook_url=upgrade.receiver.url, **options)


async def seen(client: Client, job: str) -> dict[str, Any]:
    _, denoised = await client.audio(job, "denoised")
    return {"job": await client.job(job), "text": await client.transcript(job), "denoised": denoised}


async def dead_letters(client: Client) -> list[dict[str, Any]]:
    async with client.http.get("/v1/dead-letters") as answer:
        return list((await answer.json())["dead_letters"])


async def expect_events(upgrade: Upgrade, expected: dict[str, str]) -> None:
    """Expect one verified event of each job, in any order."""
    events = [await upgrade.receiver.event() for _ in expected]
    assert {event["data"]["job_id"]: event["type"] for event in events} == expected
