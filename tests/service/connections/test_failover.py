"""Connections to the primary among several hosts: before, during and after the promotion of a real replica."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from deploy.migrate import find_due
from ingest_service.database import Database
from ingest_service.errors import OutageError
from processor_service.database import opened
from shared.connections.primary import connect
from tests.support.connections.replica import Pair, at_hosts, execute, replicated
from tests.tools.chaos.waiting import until

pytestmark = pytest.mark.process

WITHIN_S = 30.0
WRITE = "UPDATE jobs SET filename = filename"
WAITS_FOR_REPLICA = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest_asyncio.fixture(scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    async with replicated(tmp_path_factory.mktemp("pair")) as pair:
        yield pair


async def port_of(url: str, **options: Any) -> int:
    """Connect, and return the port of the chosen server."""
    connection = await connect(url, timeout=10, **options)
    try:
        return int(await connection.fetchval("SELECT inet_server_port()"))
    finally:
        await connection.close()


async def test_the_primary_is_found_in_any_order_also_behind_a_host_that_does_not_answer(pair: Pair) -> None:
    hosts = pair.url.rpartition("@")[2].partition("/")[0].split(",")
    for order in (hosts, hosts[::-1]):
        assert await port_of(at_hosts(pair.url, ",".join(order))) == pair.primary.port
    pair.replica.freeze()
    try:
        assert await port_of(pair.url) == pair.primary.port
    finally:
        pair.replica.thaw()


async def test_a_url_may_ask_for_the_replica(pair: Pair) -> None:
    assert await port_of(f"{pair.url}?target_session_attrs=standby") == pair.replica.port


async def test_hosts_that_refuse_writes_are_no_primary(pair: Pair) -> None:
    closed = pair.replica_url.partition("@")[2].partition(":")[0] + ":1"
    only_replica = at_hosts(pair.url, f"{pair.replica_url.rpartition('@')[2].partition('/')[0]},{closed}")

    with pytest.raises(ConnectionError, match=r"no host of the database accepts writes: .*Connect"):
        await connect(only_replica, timeout=10)


async def test_a_wrong_password_is_reported_as_such(pair: Pair) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(pair.url, timeout=10, password="wrong")  # noqa: S106 - none


async def test_migrations_go_to_the_primary(pair: Pair) -> None:
    hosts = pair.url.rpartition("@")[2].partition("/")[0]
    assert await find_due(at_hosts(pair.primary.url, hosts)) == []


async def test_a_connection_that_refuses_writes_is_not_used_again(pair: Pair) -> None:
    """A host name may lead to a server that has become a replica."""
    async with opened(pair.replica_url, max_size=1, command_timeout_s=10) as pool:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await pool.execute(WRITE)
        assert pool.get_size() == 0
    async with Database.opened(pair.replica_url, 1) as database:
        with pytest.raises(OutageError):
            async with database.transaction("default") as connection:
                await connection.execute(WRITE)
        assert database.pool.get_size() == 0


async def test_one_lost_connection_of_a_processor_replaces_all(pair: Pair) -> None:
    """All lead to the same server: each would cost its time-out."""
    async with opened(pair.url, max_size=2, command_timeout_s=1) as pool:
        before = await _backends(pool)
        pair.primary.freeze()
        try:
            with pytest.raises(TimeoutError):
                await pool.execute(WRITE)
        finally:
            pair.primary.thaw()

        assert not before & await _backends(pool)


async def _backends(pool: asyncpg.Pool) -> set[int]:
    async with pool.acquire() as one, pool.acquire() as other:
        return {one.get_server_pid(), other.get_server_pid()}


async def test_a_primary_that_comes_back_after_a_promotion_gets_no_acknowledged_write(tmp_path: Path) -> None:
    folder = tmp_path / "servers"
    folder.mkdir()
    async with replicated(folder, synchronous=True) as pair:
        assert await port_of(pair.url) == pair.primary.port
        kept = await asyncpg.connect(pair.primary.url)  # by a client that notices nothing
        pair.primary.freeze()
        await pair.promote()
        assert await port_of(pair.url) == pair.replica.port

        pair.primary.thaw()
        assert await port_of(pair.url) == pair.replica.port
        stale = asyncio.create_task(kept.execute("INSERT INTO tenants (name) VALUES ('stale')"))
        await until(lambda: execute(pair.primary.url, WAITS_FOR_REPLICA), within_s=WITHIN_S)
        assert not stale.done()
        await pair.replica.kill()
        with pytest.raises(ConnectionError, match="another one was promoted"):
            await connect(pair.url, timeout=10)
        kept.terminate()
        await asyncio.gather(stale, return_exceptions=True)
