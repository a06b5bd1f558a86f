"""A run with several Redis: one is frozen and killed, one is added, one is removed, while jobs of all tenants run."""

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import count, cycle

import aiohttp

from deploy.local.processes import Processes
from shared.connections.redis_shards import shard_of
from tests.tools.chaos import servers
from tests.tools.chaos.break_tenants import client_of, make_key
from tests.tools.chaos.load import Attempt
from tests.tools.chaos.run import Run
from tests.tools.chaos.servers import Server
from tests.tools.chaos.services import Service

FIRST = 3  # servers at the beginning; the first is that of all other runs
NAMES = tuple(f"redis-{number}" for number in range(FIRST + 1))
ILL = 1
UPLOADS_EACH = 5  # of other tenants during an outage
SERVED_WITHIN_S = 10.0
SIGN_ALIKE = "UPDATE webhook_secrets SET secret = $1"  # as the receiver verifies


async def c18_break_one_redis(run: Run) -> None:
    """Freeze and kill one of several Redis, then add one and remove one, in rolling restarts."""
    async with _more_redis(run) as (urls, more):
        try:
            await _restart(run, urls[:FIRST], run.world.services)
            async with _clients(run) as clients, run.feeding(_upload_in_turn(run, clients)):
                await _break(run, more[ILL - 1], [*clients[:ILL], *clients[ILL + 1 :]])
                await _roll(run, urls)
                await _roll(run, [*urls[:ILL], *urls[ILL + 1 :]])
        finally:
            run.fault("one Redis", costs=run.profile.slots * len(run.world.workers))
            await run.world.restart_with({service: {} for service in run.world.services})
        await run.judge()


@contextlib.asynccontextmanager
async def _more_redis(run: Run) -> AsyncIterator[tuple[list[str], list[Server]]]:
    """Start more servers. Yield the URLs of all, with the names from which tenants are hashed; and the servers."""
    async with contextlib.AsyncExitStack() as stack:
        more = []
        for name in NAMES[1:]:
            folder = run.world.folder / name
            folder.mkdir(exist_ok=True)
            more.append(servers.valkey(folder, Processes()))
            await more[-1].start()
            stack.push_async_callback(more[-1].stop)
        urls = [run.world.redis_url, *(server.url for server in more)]
        yield [f"{url}?name={name}" for url, name in zip(urls, NAMES, strict=True)], more


async def _restart(run: Run, urls: Sequence[str], services: Sequence[Service]) -> None:
    redis, auth = {"HEADRACE_REDIS_URL": " ".join(urls)}, {"HEADRACE_AUTH": "required"}
    await run.world.restart_with({each: redis | (auth if each is run.world.ingest else {}) for each in services})


async def _roll(run: Run, urls: Sequence[str]) -> None:
    """Give the services another list of Redis one after the other: meanwhile they have different ones."""
    for service in (run.world.workers[0], run.world.ingest, *run.world.workers[1:]):
        run.fault("new list of Redis", service.life.who, costs=run.profile.slots)
        await _restart(run, urls, [service])


@contextlib.asynccontextmanager
async def _clients(run: Run) -> AsyncIterator[list[aiohttp.ClientSession]]:
    """Open a client of a tenant of each Redis."""
    keys = [await make_key(run, _tenant_of(name)) for name in NAMES[:FIRST]]
    await run.world.record.fetch(SIGN_ALIKE, run.world.webhook_secret)
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(client_of(key)) for key in keys]


def _tenant_of(name: str) -> str:
    return next(tenant for tenant in map("tenant-{}".format, count()) if shard_of(tenant, NAMES[:FIRST]) == name)


def _upload_in_turn(run: Run, clients: Sequence[aiohttp.ClientSession]) -> Callable[[], Awaitable[Attempt]]:
    turns = cycle(clients)

    def one() -> Awaitable[Attempt]:
        return _upload(run, next(turns), run.upload_slow)

    return one


async def _upload(run: Run, client: aiohttp.ClientSession, upload: Callable[[], Awaitable[Attempt]]) -> Attempt:
    run.load.http = client  # the upload reads it before it first waits
    return await upload()


async def _break(run: Run, ill: Server, others: Sequence[aiohttp.ClientSession]) -> None:
    run.fault("one Redis frozen")
    ill.freeze()
    await _serve(run, others, "one Redis is frozen")
    ill.thaw()
    run.fault("one Redis killed")
    await ill.kill()
    await _serve(run, others, "one Redis is lost")
    await ill.start()


async def _serve(run: Run, others: Sequence[aiohttp.ClientSession], when: str) -> None:
    """Expect that jobs of the other tenants end meanwhile."""
    began_s = time.monotonic()
    attempts = [await _upload(run, client, run.upload_short) for _ in range(UPLOADS_EACH) for client in others]
    run.expect(all(one.status == 202 for one in attempts), f"an upload was rejected while {when}")
    await run.ended(attempts)
    took_s = time.monotonic() - began_s
    run.figures[f"others_ended_s_while_{when.replace(' ', '_')}"] = round(took_s, 1)
    run.hold_s(f"time until the jobs of others ended while {when}", took_s, SERVED_WITHIN_S)
