"""Opens connections to Redis, to one server or to the master that Sentinels name. Connects to nothing yet.

Both services have such a file: what they share imports no such library.
"""

from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from shared.connections.redis import FindsMasterAnew, RedisPlace, place_of


class _MasterConnection(FindsMasterAnew, SentinelManagedConnection):
    pass


class _MasterTlsConnection(FindsMasterAnew, SentinelManagedSSLConnection):
    pass


class _MasterPool(SentinelConnectionPool):
    """Also closes the connections to the Sentinels."""

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose()


def open_pool(url: str, **options: Any) -> ConnectionPool:
    """A pool of connections; `options` are theirs, in redis-py's words."""
    place = place_of(url)
    if place.sentinels:
        return _pool_of_master(place, options)
    pool: ConnectionPool = ConnectionPool.from_url(place.url, **place.options, **options)
    return pool


def _pool_of_master(place: RedisPlace, options: dict[str, Any]) -> ConnectionPool:
    # with a Sentinel that does not answer: the next is asked then
    patience = {name: value for name, value in options.items() if name.startswith("socket_")}
    sentinel: Any = Sentinel(place.sentinels, sentinel_kwargs={**place.sentinel_options, **patience})  # type: ignore[no-untyped-call]
    of_server = dict(place.options)
    connection = _MasterTlsConnection if of_server.pop("ssl", False) else _MasterConnection
    return _MasterPool(place.master, sentinel, connection_class=connection, **of_server, **options)  # type: ignore[no-untyped-call]
