"""Open Redis clients, for one server or for the master that Sentinels name. Opening connects to nothing yet.

Only this module imports redis-py for the code in `shared`.
"""

from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio import sentinel as redis_sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.connections.redis_url import RedisAddress, parse_redis_url

__all__ = ["FAILED", "UNREACHABLE", "Redis", "RedisConnectionError", "open_address", "open_redis"]

UNREACHABLE = (RedisConnectionError, RedisTimeoutError, OSError)  # the server does not answer; a timeout is an OSError
FAILED = (RedisError, OSError)  # it does not answer, or refuses

TRY_ONCE = Retry(NoBackoff(), 0, (Exception,))  # type: ignore[arg-type] # it catches these, whatever the annotation


def open_redis(url: str, **options: Any) -> Redis:
    """Return a client that closes its pool. `options` are options of redis-py's connections."""
    return Redis.from_pool(open_address(parse_redis_url(url), **options))


def open_address(address: RedisAddress, **options: Any) -> ConnectionPool:
    """Return a pool of connections. `options` are options of redis-py's connections."""
    if address.sentinels:
        return _master_pool(address, options)
    pool: ConnectionPool = ConnectionPool.from_url(address.url, **address.options, **options)
    return pool


def _master_pool(address: RedisAddress, options: dict[str, Any]) -> ConnectionPool:
    # The timeouts also apply to the Sentinels: when one does not answer, redis-py asks the next.
    timeouts = {name: value for name, value in options.items() if name.startswith("socket_")}
    sentinel: Any = redis_sentinel.Sentinel(address.sentinels, sentinel_kwargs={**address.sentinel_options, **timeouts})  # type: ignore[no-untyped-call]
    server_options = dict(address.options)
    connection = _MasterTlsConnection if server_options.pop("ssl", False) else _MasterConnection
    return _MasterPool(address.master, sentinel, connection_class=connection, **server_options, **options)  # type: ignore[no-untyped-call]


class _AsksSentinelsAgain:
    """Mixin for redis-py's Sentinel connections: try an address once, then ask the Sentinels again.

    redis-py asks once and then retries that address as often as `retry` allows. With unlimited retries, a worker would
    retry the address of a dead master forever.
    """

    retry: Any

    async def connect_to(self, address: tuple[str, int]) -> None:
        retry, self.retry = self.retry, TRY_ONCE
        try:
            await super().connect_to(address)  # type: ignore[misc] # defined by the other base class
        finally:
            self.retry = retry


class _MasterConnection(_AsksSentinelsAgain, redis_sentinel.SentinelManagedConnection):
    pass


class _MasterTlsConnection(_AsksSentinelsAgain, redis_sentinel.SentinelManagedSSLConnection):
    pass


class _MasterPool(redis_sentinel.SentinelConnectionPool):
    """Also closes the connections to the Sentinels."""

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        await super().disconnect(inuse_connections)
        if inuse_connections:
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose()
