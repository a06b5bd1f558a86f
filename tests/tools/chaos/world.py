"""The environment of a run: an ingest, two workers, and its own Redis and Postgres behind proxies."""

import asyncio
import contextlib
import random
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
from redis.asyncio import Redis

from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Processes
from deploy.local.unprivileged import is_root
from shared.blobs import blob_keys
from tests.tools.chaos import servers
from tests.tools.chaos.golden import CALLS, Golden, golden
from tests.tools.chaos.profiles import Profile
from tests.tools.chaos.proxy import Proxy
from tests.tools.chaos.receiver import Receiver
from tests.tools.chaos.record import Record
from tests.tools.chaos.services import Service, health_url
from tests.tools.chaos.sounds import LONG_S, SHORT_S, speech_wav

WORKERS = 2
THRESHOLD_S, CHUNK_S = 4.0, 2.0  # ten seconds are five chunks
MAX_AUDIO_S = 600.0
CHILD_MEMORY_BYTES = 1 << 30


class World:
    """The services and their servers. Use `built` to create one."""

    def __init__(self, folder: Path, profile: Profile, rng: random.Random) -> None:
        self.folder = folder
        self.profile = profile
        self.blobs, self.temporary = folder / "blobs", folder / "tmp"
        self.failpoints, self.model = folder / "failpoints", folder / "model"
        self.webhook_secret = "whsec_" + "c2VlZGVkLWNoYW9zLXNlY3JldC1vZi0zMi1ieXRlcw=="
        self.postgres, self.valkey = servers.postgres(folder, Processes()), servers.valkey(folder, Processes())
        self.postgres_proxy, self.redis_proxy = Proxy(self.postgres.port), Proxy(self.valkey.port)
        self.record = Record(self.postgres.url)
        self.redis: Redis = Redis.from_url(self.valkey.url, decode_responses=True)
        self.receiver = Receiver(self.webhook_secret)
        self.ingest = self._service("ingest", "ingest_service")
        self.workers = [self._service(f"worker-{number}", "processor_service") for number in range(WORKERS)]
        self.rng = rng
        self.long: Golden
        self.short: Golden
        self.http: aiohttp.ClientSession
        self._password = secrets.token_hex(16)

    @classmethod
    @contextlib.asynccontextmanager
    async def built(cls, profile: Profile, rng: random.Random) -> AsyncIterator["World"]:
        """Start a world. Stop all its processes and delete its files at the end."""
        folder = Path(tempfile.mkdtemp(prefix="headrace-chaos-"))
        world = cls(folder, profile, rng)
        try:
            async with contextlib.AsyncExitStack() as stack:
                await world._open(stack)
                yield world
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def services(self) -> list[Service]:
        return [self.ingest, *self.workers]

    @property
    def url(self) -> str:
        return self.ingest.health_url.removesuffix("/health/live")

    @property
    def redis_url(self) -> str:
        """Return the URL of Redis through its proxy."""
        return self.valkey.url.replace(f"{LOOPBACK}:{self.valkey.port}", f"{LOOPBACK}:{self.redis_proxy.port}")

    async def empty(self) -> None:
        """Reset all state for the next run. Only processes with an extended environment are restarted."""
        await self.restart_with({service: {} for service in self.services if service.extra})
        await self.ready()
        await self.record.empty()
        await self.redis.flushall()
        self.receiver.forget()
        (self.model / CALLS).unlink(missing_ok=True)
        for kind in (blob_keys.ALL_JOBS, blob_keys.ALL_UPLOADS):
            shutil.rmtree(self.blobs / kind, ignore_errors=True)
        for order in self.failpoints.iterdir():
            order.unlink()

    async def ready(self) -> None:
        """Wait until every service is ready."""
        await asyncio.gather(*(service.until_ready() for service in self.services))

    async def restart_with(self, extras: Mapping[Service, Mapping[str, str]]) -> None:
        """Restart services in parallel with SIGTERM and an extended environment, until the next run."""
        lives = {service: service.restart(extra) for service, extra in extras.items()}
        await asyncio.gather(*(service.until_ready(after=life) for service, life in lives.items()))

    def keep_logs(self, folder: Path) -> None:
        """Copy the logs of services and servers to a folder that is kept."""
        folder.mkdir(parents=True, exist_ok=True)
        for log in self.folder.glob("*.log"):
            shutil.copy(log, folder)

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        for folder in (self.blobs, self.temporary, self.failpoints, self.model):
            folder.mkdir()
        if is_root():
            self.folder.chmod(0o755)  # PostgreSQL runs as an unprivileged user
        for server in (self.postgres, self.valkey):
            await server.start()
            stack.push_async_callback(server.stop)
        for proxy in (self.postgres_proxy, self.redis_proxy):
            await stack.enter_async_context(proxy.listening())
        await self.record.prepare(self._password)
        stack.push_async_callback(self.record.close)
        stack.push_async_callback(self.redis.aclose)
        await stack.enter_async_context(self.receiver.listening())
        self.http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        for service in self.services:
            await service.start()
            stack.push_async_callback(service.stop)
        self.long = await self._golden(LONG_S)
        self.short = await self._golden(SHORT_S)
        await self.ready()

    async def _golden(self, duration_s: float) -> Golden:
        wav, folder = speech_wav(duration_s), self.folder / f"golden-{duration_s}"
        return await asyncio.to_thread(golden, wav, folder, threshold_s=THRESHOLD_S, chunk_s=CHUNK_S)

    def _service(self, name: str, module: str) -> Service:
        port = free_port()
        own = "HEADRACE_PORT" if name == "ingest" else "HEADRACE_HEALTH_PORT"
        log = self.folder / f"{name}.log"
        return Service(name, module, health_url(port), lambda who: {**self._environment(who), own: str(port)}, log)

    def _environment(self, who: str) -> dict[str, str]:
        profile = self.profile
        return {
            "TMPDIR": str(self.temporary),
            "HEADRACE_DATABASE_URL": self.record.service_url(self._password, self.postgres_proxy.port, who),
            "HEADRACE_REDIS_URL": self.redis_url,
            "HEADRACE_STORAGE_URL": self.blobs.as_uri(),
            "HEADRACE_LOG_FORMAT": "json",
            "HEADRACE_FAILPOINTS": str(self.failpoints),
            "HEADRACE_AUTH": "none",
            "HEADRACE_INGEST_PROCESSES": "1",  # one process: faults and measurements must hit the process that serves
            "HEADRACE_TRANSCRIBER": "scripted",
            "HEADRACE_MODEL": str(self.model),
            "HEADRACE_SLOTS": str(profile.slots),
            "HEADRACE_THREADS": "1",
            "HEADRACE_CHUNK_THRESHOLD_S": str(THRESHOLD_S),
            "HEADRACE_CHUNK_S": str(CHUNK_S),
            "HEADRACE_LEASE_S": str(profile.lease_s),
            "HEADRACE_RETRY_WAITS_S": _listed(profile.retry_waits_s),
            "HEADRACE_MAX_AUDIO_SECONDS": str(MAX_AUDIO_S),
            "HEADRACE_CHILD_MEMORY_BYTES": str(CHILD_MEMORY_BYTES),
            "HEADRACE_SLOWEST_SPEED": "10",
            "HEADRACE_STAGE_TIMEOUT_S": str(profile.stage_timeout_s),
            "HEADRACE_ORPHAN_AGE_S": str(profile.orphan_age_s),
            "HEADRACE_WEBHOOK_SECRET": self.webhook_secret,
            "HEADRACE_WEBHOOK_WAITS_S": _listed(profile.webhook_waits_s),
            "HEADRACE_WEBHOOK_TIMEOUT_S": str(profile.webhook_timeout_s),
            "HEADRACE_WEBHOOK_ALLOW_PRIVATE": "loopback",
            "HEADRACE_CHAT_PROVIDERS": "aside",
            "HEADRACE_CHAT_PROVIDER_ASIDE_URL": f"http://{LOOPBACK}:{self.receiver.port}/aside",
            "HEADRACE_CHAT_PROVIDER_ASIDE_MODEL": "none",
        }


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(map(str, values))
