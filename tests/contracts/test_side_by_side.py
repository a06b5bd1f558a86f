"""Two versions at once, as in an upgrade: the code of before the newest migration and that of now, over one record, one
bell and one store, after `--phase pre`. What either takes the other carries out, and both tell the same of it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from deploy.local.postgres import Postgres, let_services_in
from deploy.local.valkey import Valkey
from deploy.migrate import Phase, find_due, migrate
from tests.acceptance.client import Client, Receiver
from tests.chaos.golden import Golden, golden
from tests.chaos.sounds import damaged, speech_wav
from tests.contracts.old_code import before_newest_migration, extract, needs_superuser
from tests.contracts.two_versions import A_COLUMN_EACH
from tests.contracts.version import Version
from tests.ingest.tus import Tus
from tests.servers import SERVICE_PASSWORD, database
from tests.stack.launched import ROOT

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
    """The two versions, the ingests of both at work, and the database as its owner."""

    old: Version
    new: Version
    old_ingest: Client
    new_ingest: Client
    receiver: Receiver
    owner_url: str
    short: Golden  # a recording that goes through under one lease
    long: Golden  # one of several chunks


@pytest_asyncio.fixture(scope="module")
async def upgrade(
    postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Upgrade]:
    commit = before_newest_migration()
    folder = tmp_path_factory.mktemp("upgrade")
    extract(commit, folder / "old")
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(database(postgres, "template0"))
        stores = {"REDIS_URL": valkey.url, "STORAGE_URL": (folder / "blobs").as_uri()}
        owning = Version(root=folder / "old", settings={**SETTINGS, **stores, "DATABASE_URL": url})
        assert await owning.run("-c", "import shared; print(shared.__file__)") == str(folder / "old/shared/__init__.py")
        assert "applied 0001_jobs_and_tasks" in await owning.run("-m", "deploy.migrate")
        ordinary = {**owning.settings, "DATABASE_URL": await let_services_in(url, SERVICE_PASSWORD)}
        old = owning if needs_superuser(commit) else Version(root=folder / "old", settings=ordinary)
        old_ingest = await stack.enter_async_context(old.ingest())
        short = golden(speech_wav(3), folder / "short", threshold_s=THRESHOLD_S, chunk_s=CHUNK_S)
        async with old.processor():
            await goes_through(old_ingest, short)
            assert await migrate(url, phase=Phase.PRE)
            await goes_through(old_ingest, short)  # those that ran before it run on
        await let_services_in(url, SERVICE_PASSWORD)  # to the new tables, too
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


async def goes_through(ingest: Client, recording: Golden) -> None:
    job = await ingest.submit(recording.wav)
    assert (await ingest.ended(job))["status"] == "COMPLETED"
    assert (await ingest.transcript(job))["text"] == recording.text


async def test_what_an_old_ingest_takes_a_new_processor_carries_out(upgrade: Upgrade) -> None:
    async with upgrade.new.processor():
        await both_kinds_go_through(upgrade, upgrade.old_ingest)


async def test_what_a_new_ingest_takes_an_old_processor_carries_out(upgrade: Upgrade) -> None:
    async with upgrade.old.processor():
        await both_kinds_go_through(upgrade, upgrade.new_ingest)


async def test_both_versions_share_the_work_of_long_files(upgrade: Upgrade) -> None:
    async with upgrade.old.processor(), upgrade.new.processor():
        clients = [upgrade.old_ingest, upgrade.new_ingest] * 3
        jobs = await asyncio.gather(*(submit(upgrade, client, upgrade.long.wav) for client in clients))
        for client, job in zip(reversed(clients), jobs, strict=True):
            assert (await client.ended(job))["status"] == "COMPLETED"
            assert (await client.transcript(job))["text"] == upgrade.long.text
        await told_of(upgrade, dict.fromkeys(jobs, "job.completed"))


async def test_an_upload_begun_at_one_ingest_ends_at_the_other(upgrade: Upgrade) -> None:
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


async def test_a_dead_letter_of_one_version_is_read_and_redriven_by_the_other(upgrade: Upgrade) -> None:
    for processor, of, by in [
        (upgrade.old.processor, upgrade.old_ingest, upgrade.new_ingest),
        (upgrade.new.processor, upgrade.new_ingest, upgrade.old_ingest),
    ]:
        async with processor():
            job = await submit(upgrade, of, damaged(upgrade.short.wav))
            assert (await by.ended(job))["status"] == "FAILED"
            await told_of(upgrade, {job: "job.failed"})
            (letter,) = [each for each in await dead_letters(by) if each["job_id"] == job]
            assert (letter["generation"], letter["code"]) == (1, "undecodable_audio")
            async with by.http.post(f"/v1/dead-letters/{job}/redrive") as answer:
                assert answer.status == 202, await answer.text()
            await told_of(upgrade, {job: "job.failed"})
        (letter,) = [each for each in await dead_letters(of) if each["job_id"] == job]
        assert letter["generation"] == 2


async def test_this_version_works_on_when_every_table_gets_a_column(upgrade: Upgrade) -> None:
    async with upgrade.new.processor():
        for recording in (upgrade.short, upgrade.long):
            await goes_through(upgrade.new_ingest, recording)
        await change(upgrade.owner_url, A_COLUMN_EACH)
        for recording in (upgrade.short, upgrade.long):
            await goes_through(upgrade.new_ingest, recording)


async def test_at_last_comes_post_and_leaves_nothing_due(upgrade: Upgrade) -> None:
    await migrate(upgrade.owner_url, phase=Phase.POST)
    assert await find_due(upgrade.owner_url) == []


async def both_kinds_go_through(upgrade: Upgrade, ingest: Client) -> None:
    """A short file, under one lease, and a long one, in chunks; both ingests tell the same of them."""
    short = await submit(upgrade, ingest, upgrade.short.wav, metadata={"a": [1, "é"]})
    long = await submit(upgrade, ingest, upgrade.long.wav, diarize=False, prompt="Names", language="en")
    for job, expected in ((short, upgrade.short), (long, upgrade.long)):
        assert (await ingest.ended(job))["status"] == "COMPLETED"
        by_old, by_new = [await seen(client, job) for client in (upgrade.old_ingest, upgrade.new_ingest)]
        assert {name: by_new["job"][name] for name in by_old["job"]} == by_old["job"]
        assert (by_old["text"], by_old["denoised"]) == (by_new["text"], by_new["denoised"])
        assert by_new["text"]["text"] == expected.text
        assert by_new["denoised"][:4] == b"fLaC"
    await told_of(upgrade, {short: "job.completed", long: "job.completed"})


async def change(url: str, statement: str) -> None:
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


async def told_of(upgrade: Upgrade, expected: dict[str, str]) -> None:
    """One verified event of each job, in whatever order."""
    events = [await upgrade.receiver.event() for _ in expected]
    assert {event["data"]["job_id"]: event["type"] for event in events} == expected
