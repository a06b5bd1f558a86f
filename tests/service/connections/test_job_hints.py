"""A processor publishes each change of a job: clients see it without any poll, also over TLS and after a failover."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from deploy.local.servers import running
from ingest_service.settings import IngestSettings
from shared.connections.redis import open_redis
from shared.secret import Secret
from tests.support.connections.certificates import Certificates
from tests.support.connections.sentinels import watched_valkeys
from tests.support.connections.tls_redis import TlsRedis
from tests.support.ingest.following import Event, Stream, following
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.metrics.pair import running_processor

pytestmark = pytest.mark.process

NEVER_S = 3600.0
LONG_WAV_BYTES = 32_000 * 60  # one minute: several chunks


@pytest.fixture(autouse=True)
def without_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.jobs.events.POLL_S", NEVER_S)
    monkeypatch.setattr("ingest_service.jobs.events.BLIND_POLL_S", NEVER_S)


@pytest_asyncio.fixture(params=["plain", "tls"])
async def pair(
    request: pytest.FixtureRequest, settings: IngestSettings, certificates: Certificates, tmp_path: Path
) -> AsyncIterator[Ingest]:
    async with AsyncExitStack() as stack:
        if request.param == "tls":
            redis = await stack.enter_async_context(running(TlsRedis(tmp_path, certificates)))
            settings = msgspec.structs.replace(settings, redis_url=Secret(redis.url))
        chosen = {"SLOTS": "1", "CHUNK_THRESHOLD_S": "30", "CHUNK_S": "20", "LEASE_S": "1"}
        await stack.enter_async_context(running_processor(settings, chosen))
        yield await stack.enter_async_context(serving(settings))


async def events(stream: Stream) -> list[Event]:
    seen = [await stream.next()]
    while seen[-1].data["status"] in {"QUEUED", "PROCESSING"}:
        seen.append(await stream.next())
    return seen


def statuses(seen: list[Event]) -> list[str]:
    """Each status once, in order."""
    return list(dict.fromkeys(event.data["status"] for event in seen))


async def test_a_job_is_followed_by_hints_alone(pair: Ingest) -> None:
    short = await pair.submit(wav(64_000), denoise="false", prompt="SLOW 1")
    async with following(pair, short) as stream:
        whole = ["QUEUED", "PROCESSING", "COMPLETED"]
        assert statuses(await events(stream)) in (whole, whole[1:])  # it may be taken before the stream opens
    failing = await pair.submit(wav(64_000), denoise="false", prompt="CRASH")
    async with following(pair, failing) as stream:
        assert statuses(await events(stream))[-1] == "FAILED"
    long = await pair.submit(wav(LONG_WAV_BYTES), denoise="false", prompt="SLOW 0.5")
    async with following(pair, long) as stream:
        seen = await events(stream)
    chunks = seen[-1].data["chunk_count"]
    assert chunks > 1
    assert seen[-1].data["status"] == "COMPLETED"
    assert len({event.data["chunks_done"] for event in seen}) > 2


async def test_after_a_failover_hints_arrive_again(settings: IngestSettings, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        valkeys = await stack.enter_async_context(watched_valkeys(tmp_path))
        settings = msgspec.structs.replace(settings, redis_url=Secret(valkeys.url))
        ingest = await stack.enter_async_context(serving(settings))
        job_id = await ingest.submit(wav(64_000), denoise="false")
        stream = await stack.enter_async_context(following(ingest, job_id))
        assert (await stream.next()).data["status"] == "QUEUED"
        replica = await valkeys.kill_master()

        async def is_subscribed() -> bool:
            if await valkeys.master() != replica:
                return False
            async with open_redis(valkeys.url) as redis:
                return await has_subscriber(redis)

        await until(is_subscribed, timeout_s=60)
        await stack.enter_async_context(running_processor(settings, {"SLOTS": "1"}))
        assert (await events(stream))[-1].data["status"] == "COMPLETED"


async def has_subscriber(redis: Redis) -> bool:
    return bool(await redis.pubsub_channels())
