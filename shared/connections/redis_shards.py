"""The Redis servers of `HEADRACE_REDIS_URL`, and which of them has the keys of a tenant.

Each tenant has one, by rendezvous hashing (Thaler, Ravishankar 1998): the server whose name gives the highest hash
together with the tenant. A new server takes its share of tenants from all others, and moves nothing between them.

What all tenants share, such as the models of processors, is written to every server and read from all that answer.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import msgspec

from shared.connections.redis import FAILED, UNREACHABLE, Redis, RedisConnectionError, open_address
from shared.connections.redis_url import RedisAddress, parse_redis_urls
from shared.run_beside import run_beside
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages

T = TypeVar("T")
U = TypeVar("U")
Item = TypeVar("Item")
Opened = AbstractAsyncContextManager[U]

ANSWER_S = 1.0  # the longest that one of several servers may take to answer
PROBE_EVERY_S = 1.0  # while it does not answer


def shard_of(tenant: str, names: Iterable[str]) -> str:
    """Return which of the servers has the keys of a tenant."""
    return max(names, key=lambda name: (blake2b(f"{name}\0{tenant}".encode(), digest_size=8).digest(), name))


class Shards(Generic[T]):
    """One value for each server, by its name."""

    def __init__(self, by_name: Mapping[str, T]) -> None:
        self.by_name = dict(by_name)

    def of(self, tenant: str) -> T:
        """Return the value of a tenant's server."""
        if len(self.by_name) == 1:
            return next(iter(self.by_name.values()))
        return self.by_name[shard_of(tenant, self.by_name)]

    def grouped(self, items: Iterable[Item], tenant_of: Callable[[Item], str]) -> list[tuple[T, list[Item]]]:
        """Return the items of each server that has some, in their order."""
        groups: dict[int, tuple[T, list[Item]]] = {}
        for item in items:
            value = self.of(tenant_of(item))
            groups.setdefault(id(value), (value, []))[1].append(item)
        return list(groups.values())

    def map(self, make: Callable[[T], U]) -> "Shards[U]":
        """Return what `make` returns for the value of each server."""
        return Shards({name: make(value) for name, value in self.by_name.items()})

    @asynccontextmanager
    async def opened(self, enter: Callable[[T], Opened[U]]) -> AsyncIterator["Shards[U]"]:
        """Enter a context for each server during the block."""
        async with AsyncExitStack() as stack:
            yield Shards({name: await stack.enter_async_context(enter(value)) for name, value in self.by_name.items()})

    def __iter__(self) -> Iterator[T]:
        return iter(self.by_name.values())

    def __len__(self) -> int:
        return len(self.by_name)


class RedisShard:
    """One server, and whether it answers.

    One of several servers that does not answer is not asked again until a probe in the background succeeds, so that
    what serves all tenants waits for it once. A single server is always asked.
    """

    def __init__(self, address: RedisAddress, redis: Redis, *, is_alone: bool = False) -> None:
        self.name = address.name
        self.address = address  # for further clients
        self.redis = redis
        self.answers = True  # by the last question
        self._is_alone = is_alone
        self._failed = asyncio.Event()
        self._outages = Outages(Log(__name__), "redis_unavailable", "redis_available", redis=self.name)

    @asynccontextmanager
    async def probing(self) -> AsyncIterator["RedisShard"]:
        """Probe the server during outages in the block, and close its connections at the end."""
        async with self.redis, run_beside(self._probe_forever()):
            yield self

    async def ask(self, question: Callable[[Redis], Awaitable[T]], *, within_s: float = ANSWER_S) -> T:
        """Return the answer. Raise redis-py's errors, OSError, and TimeoutError: a single server may take longer."""
        if self._is_alone:
            return await question(self.redis)
        if not self.answers:
            raise RedisConnectionError(f"{self.name} does not answer")
        try:
            async with asyncio.timeout(within_s):
                return await question(self.redis)
        except UNREACHABLE as error:
            self.fail(error)
            raise

    def fail(self, error: Exception) -> None:
        """Note that the server did not answer."""
        self.answers = False
        self._failed.set()
        self._outages.failed(error)

    async def _probe_forever(self) -> None:
        while True:
            await self._failed.wait()
            await asyncio.sleep(PROBE_EVERY_S)
            try:
                async with asyncio.timeout(ANSWER_S):
                    await self.redis.ping()
            except Exception:  # noqa: BLE001, S112 - whatever the client raises, the next probe follows
                continue
            self._failed.clear()
            self.answers = True
            self._outages.worked()


RedisShards = Shards[RedisShard]


def clients_of(shards: RedisShards) -> Shards[Redis]:
    """Return the clients, for what has a timeout and a memory of outages of its own."""
    return shards.map(lambda shard: shard.redis)


class Answers(msgspec.Struct, Generic[T], frozen=True):
    """The answers of the servers that answered, and the errors of the others."""

    by_shard: Mapping[RedisShard, T]
    errors: tuple[Exception, ...]

    def require_one(self) -> Mapping[RedisShard, T]:
        """Return the answers. Raise the first error if there are none."""
        if not self.by_shard:
            raise self.errors[0]
        return self.by_shard


async def ask_each(
    shards: Iterable[RedisShard], question: Callable[[Redis], Awaitable[T]], *, within_s: float = ANSWER_S
) -> Answers[T]:
    """Ask the servers at once. Errors other than redis-py's and OSError are raised."""
    asked = list(shards)
    results: list[Any] = await asyncio.gather(
        *(shard.ask(question, within_s=within_s) for shard in asked), return_exceptions=True
    )
    pairs = list(zip(asked, results, strict=True))
    errors = tuple(result for result in results if isinstance(result, Exception))
    for error in errors:
        if not isinstance(error, FAILED):
            raise error
    return Answers({shard: result for shard, result in pairs if not isinstance(result, BaseException)}, errors)


def open_redis_shards(urls: str, **options: Any) -> AbstractAsyncContextManager[RedisShards]:
    """Open a client for each URL during a block. Connects to nothing yet. `options` are those of redis-py."""
    addresses = parse_redis_urls(urls)  # may read files
    return Shards(
        {
            address.name: RedisShard(
                address, Redis.from_pool(open_address(address, **options)), is_alone=len(addresses) == 1
            )
            for address in addresses
        }
    ).opened(RedisShard.probing)


def alone(redis: Redis) -> RedisShards:
    """Return the shards of an installation with one server. The caller closes the client."""
    return Shards({"": single_shard(redis)})


def single_shard(redis: Redis) -> RedisShard:
    """Return the only Redis of an installation. The caller closes the client."""
    return RedisShard(RedisAddress(url="", name="", options={}), redis, is_alone=True)
