"""Bounds on connections and event streams: the newest is refused with a code, and health checks are answered."""

from contextlib import AsyncExitStack

import pytest

from ingest_service.settings import IngestSettings
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.raw_http import connected, exchange, head
from tests.support.ingest.serving import serving, until
from tests.support.ingest.sounds import wav

LIVE = head(line="GET /health/live HTTP/1.1")
JOBS = head(line="GET /v1/jobs HTTP/1.1")


@pytest.mark.parametrize("bound", ["max_connections", "max_connections_of_address"])
async def test_above_the_bound_only_health_checks_are_answered(settings: IngestSettings, bound: str) -> None:
    async with serving(settings, **{bound: 3}) as ingest, AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(connected(ingest)) for _ in range(3)]
        for reader, writer in streams:
            writer.write(LIVE)
            assert await reader.readuntil(b'"alive"}')
        answer = await exchange(ingest, JOBS)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"too_many_connections"' in answer
        assert (await exchange(ingest, LIVE)).startswith(b"HTTP/1.1 200 ")
        streams[0][1].transport.abort()

        async def is_served() -> bool:
            return (await exchange(ingest, head("Connection: close", line="GET /v1/jobs HTTP/1.1")))[9:12] == b"200"

        await until(is_served)


async def test_far_above_the_bound_connections_are_closed_at_once(settings: IngestSettings) -> None:
    async with serving(settings, max_connections_of_address=1) as ingest, AsyncExitStack() as stack:
        for _ in range(17):
            await stack.enter_async_context(connected(ingest))

        async def is_closed() -> bool:
            return await exchange(ingest, LIVE) == b""

        await until(is_closed)


@pytest.mark.parametrize("bound", ["max_event_streams", "max_event_streams_of_tenant", "max_event_streams_of_key"])
async def test_the_newest_event_stream_is_refused(settings: IngestSettings, bound: str) -> None:
    key, other = [(await new_key(settings, "acme", purpose=purpose)).key for purpose in ("one", "other")]
    async with guarded(settings, **{bound: 1}) as ingest:
        async with ingest.client.post(
            ingest.url + "/v1/jobs", data=wav(), headers=bearer(key) | {"Content-Type": "audio/wav"}
        ) as answer:
            job = (await answer.json())["job_id"]
        url = f"{ingest.url}/v1/jobs/{job}/events"

        async def status(presented: str) -> int:
            async with ingest.client.get(url, headers=bearer(presented)) as answer:
                if answer.status == 429:
                    problem = await answer.json(content_type=None)
                    assert problem["code"] == "too_many_streams"
                    assert bound.removeprefix("max_") in problem["detail"]
                return answer.status

        async with ingest.client.get(url, headers=bearer(key)) as stream:
            await stream.content.readuntil(b"data:")
            assert await status(key) == 429
            assert await status(other) == (200 if bound == "max_event_streams_of_key" else 429)

        async def is_free() -> bool:
            return await status(key) == 200

        await until(is_free)
