"""Limits of fetches: the shares of a tenant and of a host, and the least rate."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import msgspec
import pytest

from processor_service.sources.download import least_bytes_per_s
from processor_service.sources.fetch_source import SourceFetcher
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.outcomes import Fetched, Postponed
from tests.service.sources.conftest import ClaimUrl, Fail, Fetch, FetcherWith, settings_with
from tests.support.sources.server import ETAG, Connection, Server, flooding, head, serving

AUDIO = b"fLaC" + bytes(5_000)
LARGE = b"fLaC" + bytes(10_000_000)
HOUR = head(200, "content-length: 115200000", ETAG) + b"fLaC"
RATES = {"fetch_silence_s": 0.2, "fetch_timeout_s": 3600.0, "fetch_least_bytes_per_s": 1000}


class Stalled:
    """A script that does not answer, and counts the requests."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self.all_began = asyncio.Event()

    async def __call__(self, connection: Connection) -> None:
        self._expected -= 1
        if not self._expected:
            self.all_began.set()
        await connection.closed()


@contextlib.asynccontextmanager
async def fetching(fetcher: SourceFetcher, *tasks: ClaimedTask) -> AsyncIterator[None]:
    """Fetch in the background during the block."""
    running = [asyncio.create_task(fetcher.fetch(task)) for task in tasks]
    try:
        yield
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def of_tenant(task: ClaimedTask, tenant: str) -> ClaimedTask:
    return msgspec.structs.replace(task, tenant=tenant)


@pytest.mark.parametrize("values", [{"fetches_per_tenant": 2}, {"fetches": 4}])
async def test_a_tenant_with_slow_servers_leaves_room_for_others(
    claim_url: ClaimUrl, fetcher_with: FetcherWith, values: dict[str, int]
) -> None:
    """It names a host of its own for each: only its own share holds it."""
    stalled = Stalled(2)
    fetcher = await fetcher_with(**values)
    async with Server(stalled).listening() as slow, Server(serving(AUDIO)).listening() as good:
        hosts = [f"http://127.0.0.{number}:{slow.port}/" for number in (1, 1, 2)]
        first, second, third = [of_tenant(await claim_url(host), "hostile") for host in hosts]
        async with fetching(fetcher, first, second):
            await stalled.all_began.wait()

            assert isinstance(await fetcher.fetch(third), Postponed)
            task = await claim_url(good.url.replace("127.0.0.1", "localhost"))
            assert isinstance(await fetcher.fetch(of_tenant(task, "other")), Fetched)

    async with Server(serving(AUDIO)).listening() as good:
        task = msgspec.structs.replace(third, source_url=good.url)
        assert isinstance(await fetcher.fetch(task), Fetched)  # the share is free again


async def test_a_slow_host_is_asked_by_few_at_once(claim_url: ClaimUrl, fetcher_with: FetcherWith) -> None:
    stalled = Stalled(2)
    fetcher = await fetcher_with(fetches_per_host=2)
    async with Server(stalled).listening() as slow, Server(serving(AUDIO)).listening() as good:
        tasks = [of_tenant(await claim_url(slow.url), f"tenant-{number}") for number in range(3)]
        async with fetching(fetcher, *tasks[:2]):
            await stalled.all_began.wait()

            assert isinstance(await fetcher.fetch(tasks[2]), Postponed)
            other_host = good.url.replace("127.0.0.1", "localhost")
            task = of_tenant(await claim_url(other_host), "tenant-0")
            assert isinstance(await fetcher.fetch(task), Fetched)


async def test_a_large_source_needs_a_higher_rate(fail: Fail) -> None:
    """About 5,000 bytes a second: enough for a short file."""
    async with Server(flooding(HOUR, bytes(50), pause_s=0.01)).listening() as server:
        error = await fail(server.url, **RATES)

    assert (error.code, error.transient) == ("source_unavailable", True)
    assert "too slowly for the size" in error.message
    assert len(server.asked) == 1


async def test_a_small_source_may_be_slow(fetch: Fetch) -> None:
    async def slow(connection: Connection) -> None:
        await connection.send(head(200, f"content-length: {len(AUDIO)}"))
        for at in range(0, len(AUDIO), 50):
            await connection.send(AUDIO[at : at + 50])
            await asyncio.sleep(0.01)

    async with Server(slow).listening() as server:
        assert await fetch(server.url, **RATES) == AUDIO


async def test_connections_that_break_are_judged_together(fail: Fail) -> None:
    """Each sends enough to count as progress, slowly, and breaks before its window ends."""

    async def slow_to_begin(connection: Connection) -> None:
        await asyncio.sleep(0.3)
        await serving(LARGE, ETAG, cut_after=70_000)(connection)

    async with Server(serving(LARGE, ETAG, cut_after=70_000), slow_to_begin).listening() as it:
        error = await fail(it.url, **RATES | {"fetch_silence_s": 2.0, "fetch_least_bytes_per_s": 2_000_000})

    assert "too slowly for the size" in error.message


@pytest.mark.parametrize("size_bytes", [0, 1, 1_000_000, 10**9])
def test_the_least_rate_rises_with_the_size(size_bytes: int) -> None:
    settings = settings_with()
    assert least_bytes_per_s(size_bytes + 4096, settings) > least_bytes_per_s(size_bytes, settings)
    assert least_bytes_per_s(size_bytes, settings) * settings.fetch_timeout_s >= size_bytes
