"""`GET /v1/events`: the changes of all jobs of a tenant, as one stream."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ingest_service.auth.caller import Scope
from ingest_service.database import Database
from ingest_service.errors import OutageError
from ingest_service.jobs import tenant_events, tenant_watcher
from ingest_service.jobs.tenant_events import JobChange, TenantListener
from ingest_service.jobs.tenant_watcher import TenantWatcher
from ingest_service.jobs.views import JobState
from ingest_service.settings import IngestSettings
from shared.connections.redis import open_redis
from shared.connections.redis_shards import alone
from shared.ids import new_id
from shared.job_hints import JobHints, channel_of, ids_in, tenant_channel_of
from shared.queue.dispatch import COMPUTE_QUEUE, Dispatch
from shared.queue.enqueue import BATCH, enqueue, enqueue_of_job
from shared.queue.fair_shares import correct_cost
from shared.schemas.states import JobStatus, Stage, TaskKind
from tests.support.ingest import records
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key
from tests.support.ingest.proxy import proxied
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.servers import as_owner

NEVER_S = 3600.0
TIMEOUT_S = 20


@pytest.fixture
def without_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without polls, only hints show changes."""
    monkeypatch.setattr(tenant_watcher, "POLL_S", NEVER_S)
    monkeypatch.setattr(tenant_watcher, "BLIND_POLL_S", NEVER_S)


class Events:
    """The events of one answer."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def any(self) -> tuple[str, dict[str, Any]]:
        """Return the next event: its name and its data. Raise EOFError at the end."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                block = (await self._answer.content.readuntil(b"\n\n")).decode()
                if not block:
                    raise EOFError
                fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
                if "data" in fields:
                    return fields.get("event", "message"), msgspec.json.decode(fields["data"])

    async def next(self) -> dict[str, Any]:
        """Return the next change of a job."""
        while True:
            name, data = await self.any()
            if name == "message":
                return data

    async def until(self, job_id: str, status: str) -> dict[str, Any]:
        while (event := await self.next())["job_id"] != job_id or event["status"] != status:
            pass
        return event


@asynccontextmanager
async def following(ingest: Ingest, headers: dict[str, str] | None = None) -> AsyncIterator[Events]:
    async with ingest.client.get(f"{ingest.url}/v1/events", headers=headers or {}) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield Events(answer)


async def is_subscribed(settings: IngestSettings, tenant: str, times: int = 1) -> bool:
    async with open_redis(settings.redis_url.reveal()) as redis:
        ((_, count),) = await redis.pubsub_numsub(tenant_channel_of(tenant))
        return int(count) == times


@pytest.mark.usefixtures("without_polls")
async def test_begins_with_the_active_jobs_and_shows_changes_and_new_jobs(ingest: Ingest) -> None:
    old, done = await ingest.submit(wav()), await ingest.submit(wav())
    await records.complete(ingest, done)
    async with following(ingest) as events:
        first = await events.next()
        assert (first["job_id"], first["status"], first["progress"]) == (old, "QUEUED", 0.0)
        assert set(first) >= {"filename", "created_at", "stage", "chunks_done", "chunk_count", "erased"}
        await until(lambda: is_subscribed(ingest.settings, "default"))
        new = await ingest.submit(wav())
        await events.until(new, "QUEUED")
        await records.start(ingest, old)
        await events.until(old, "PROCESSING")
        await records.complete(ingest, old)
        await events.until(old, "COMPLETED")
        assert await ingest.delete(f"/v1/jobs/{new}") == 204
        erased = await events.until(new, "CANCELLED")
        while not erased["erased"]:
            erased = await events.next()


@pytest.mark.usefixtures("without_polls")
async def test_a_redriven_job_is_shown(ingest: Ingest) -> None:
    job_id = await records.failed(ingest)
    async with following(ingest) as events:
        await until(lambda: is_subscribed(ingest.settings, "default"))
        assert (await ingest.post(None, f"/v1/dead-letters/{job_id}/redrive"))[0] == 202
        await events.until(job_id, "QUEUED")


async def test_counts_come_with_changes(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_watcher, "COUNT_S", 0.05)
    await ingest.submit(wav())
    async with following(ingest) as events:
        while (event := await events.any())[0] != "counts" or event[1]["counts"]["QUEUED"] != 1:
            pass
        await ingest.submit(wav())
        while (event := await events.any())[0] != "counts" or event[1]["total"] != 2:
            pass


async def test_counts_come_after_an_outage(settings: IngestSettings) -> None:
    """A count that an outage prevents is made later, also if nothing changes any more."""
    async with (
        proxied(settings.database_url.reveal()) as postgres,
        Database.opened(postgres.url) as database,
        open_redis(settings.redis_url.reveal()) as redis,
    ):
        watcher = TenantWatcher(database, alone(redis))
        with watcher.listening("default") as listener:
            await postgres.close()
            with pytest.raises(OutageError):
                await watcher._count_changed()
            await postgres.open()
            await watcher._count_changed()
            async with asyncio.timeout(TIMEOUT_S):
                assert b"event: counts" in (await listener.next() or b"")


async def test_a_lost_hint_is_replaced_by_a_poll(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_watcher, "POLL_S", 0.05)
    job_id = await ingest.submit(wav())
    async with following(ingest) as events:
        await events.until(job_id, "QUEUED")
        await ingest.sql("UPDATE jobs SET status = 'PROCESSING' WHERE id = $1", job_id)
        await events.until(job_id, "PROCESSING")


@pytest.mark.parametrize("role", ["superuser", "service role"])
async def test_two_tenants_see_nothing_of_each_other(settings: IngestSettings, role: str) -> None:
    keys = {tenant: bearer((await new_key(settings, tenant)).key) for tenant in ("acme", "globex")}
    url = settings.database_url.reveal()
    if role == "superuser":
        settings = msgspec.structs.replace(settings, database_url=type(settings.database_url)(as_owner(url)))
    async with guarded(settings) as ingest:
        seen: dict[str, list[str]] = {}
        own: dict[str, list[str]] = {tenant: [] for tenant in keys}
        for tenant in (*keys, *keys):
            _, job = await ingest.post(wav(), headers=WAV_TYPE | keys[tenant])
            own[tenant].append(job["job_id"])
        async with following(ingest, keys["acme"]) as acme, following(ingest, keys["globex"]) as globex:
            streams = {"acme": acme, "globex": globex}
            for tenant, stream in streams.items():
                seen[tenant] = [(await stream.next())["job_id"] for _ in range(2)]
            for tenant, stream in streams.items():
                await until(lambda tenant=tenant: is_subscribed(settings, tenant))
                _, job = await ingest.post(wav(), headers=WAV_TYPE | keys[tenant])
                own[tenant].append(job["job_id"])
                # a false hint about another tenant's job shows nothing of it
                await ingest.hint(own["globex" if tenant == "acme" else "acme"][0], tenant=tenant)
                seen[tenant].append((await stream.next())["job_id"])
        assert {tenant: set(ids) for tenant, ids in seen.items()} == {tenant: set(ids) for tenant, ids in own.items()}


async def test_ends_with_its_key(settings: IngestSettings) -> None:
    admin = bearer((await new_key(settings, "acme", *Scope)).key)
    reader = await new_key(settings, "acme", Scope.READ, purpose="reads")
    async with guarded(settings) as ingest, following(ingest, bearer(reader.key)) as events:
        async with ingest.client.delete(f"{ingest.url}/v1/keys/{reader.key_id}", headers=admin) as answer:
            assert answer.status == 204
        with pytest.raises(EOFError):
            await events.next()


async def test_ends_when_the_process_stops_and_counts_towards_the_bounds(
    settings: IngestSettings,
) -> None:
    async with serving(settings, max_event_streams_of_tenant=1) as ingest, following(ingest) as events:
        await until(lambda: is_subscribed(settings, "default"))
        status, problem = await ingest.get("/v1/events")
        assert (status, problem["code"]) == (429, "too_many_streams")
        ingest.stopping.set()
        with pytest.raises(EOFError):
            await events.next()


def changed(job_id: UUID, progress: float = 0.0) -> JobChange:
    state = JobState(
        generation=1,
        status=JobStatus.PROCESSING,
        stage=Stage.PREPARE,
        progress=progress,
        chunk_count=0,
        chunks_done=0,
        is_erased=False,
    )
    return JobChange(job_id, state, "a.wav", dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


async def test_a_slow_reader_gets_the_newest_state_of_each_job() -> None:
    listener, job_id = TenantListener(), new_id()
    for step in range(10_000):
        listener.update(changed(job_id, step / 10_000))
    events = await listener.next()
    assert events is not None
    assert events.count(b"data:") == 1
    assert b'"progress":0.9999' in events


async def test_a_reader_that_is_too_slow_must_read_its_list_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenant_events, "MAX_PENDING", 3)
    listener = TenantListener()
    for _ in range(9):
        listener.update(changed(new_id()))
    events = await listener.next()
    assert events is not None
    assert events.startswith(tenant_events.RELOAD)
    assert events.count(b"data:") <= 1 + 3


async def test_a_change_is_published_with_what_is_asked_anyway(settings: IngestSettings) -> None:
    """With the dispatches of the job, once for all of them, and with the correction of its cost."""
    job_id, other = new_id(), new_id()
    async with open_redis(settings.redis_url.reveal()) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe(tenant_channel_of("acme"), channel_of(job_id), channel_of(other))
        chunks = [Dispatch(new_id(), 1, TaskKind.CHUNK, "acme") for _ in range(BATCH + 1)]
        delivery = Dispatch(new_id(), 1, TaskKind.DELIVER, "acme")
        await enqueue_of_job(alone(redis), [*chunks, delivery], job_id, "acme")
        await correct_cost(redis, COMPUTE_QUEUE, "acme", 60, changed={other: "acme"})
        await correct_cost(redis, COMPUTE_QUEUE, "acme", 60, interactive=True, changed={other: "acme"})
        found = await _messages(pubsub)
        assert await redis.zcard(COMPUTE_QUEUE) == len(chunks)
    one, two = ((channel_of(each), tenant_channel_of("acme"), each) for each in (job_id, other))
    assert found == [message for own, tenants, each in (one, two, two) for message in ((own, []), (tenants, [each]))]


async def _messages(pubsub: Any) -> list[tuple[str, list[UUID]]]:
    """Return the channels and ids of all messages up to now."""
    found = []
    await pubsub.ping()
    async with asyncio.timeout(TIMEOUT_S):
        while (message := await pubsub.get_message(timeout=None)) is None or message["type"] != "pong":
            if message and message["type"] == "message":
                found.append((message["channel"].decode(), ids_in(message["data"])))
    return found


async def test_a_submission_and_a_change_are_messages_of_the_tenants_channel(settings: IngestSettings) -> None:
    task, job_id = new_id(), new_id()
    async with open_redis(settings.redis_url.reveal()) as redis, redis.pubsub() as pubsub:
        await pubsub.subscribe(tenant_channel_of("acme"), tenant_channel_of("globex"))
        await enqueue(
            redis, [Dispatch(task, 1, TaskKind.PREPARE, "acme"), Dispatch(new_id(), 1, TaskKind.PREPARE, "acme")]
        )
        await enqueue(
            redis, [Dispatch(task, 2, TaskKind.PREPARE, "acme"), Dispatch(new_id(), 1, TaskKind.CHUNK, "acme")]
        )
        async with JobHints.opened(alone(redis)) as hints:
            hints.changed(job_id, "globex")
        found = await _messages(pubsub)
    assert found == [(tenant_channel_of("acme"), []), (tenant_channel_of("globex"), [job_id])]
