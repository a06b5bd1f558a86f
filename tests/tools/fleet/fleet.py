"""The fleet: hosts with the services, their servers and a proxy. This process is the client and the operator."""

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import aiohttp
from redis.asyncio import Redis

from shared.blobs.blob_store import BlobStore
from tests.support.connections.replica import at_hosts
from tests.support.storage import bucket
from tests.support.storage.stores import environment
from tests.tools.chaos.golden import Golden, golden
from tests.tools.chaos.receiver import Receiver
from tests.tools.chaos.record import Record
from tests.tools.chaos.servers import Server
from tests.tools.chaos.services import READY_WITHIN_S, Service, health_url
from tests.tools.chaos.sounds import LONG_S, SHORT_S, speech_wav
from tests.tools.chaos.waiting import until
from tests.tools.fleet import programs, servers, settings
from tests.tools.fleet.hosts import Host
from tests.tools.fleet.network import CLIENT_ADDRESS, Network

INGESTS = ("ingest-1", "ingest-2")
PROCESSORS = ("processor-1", "processor-2", "processor-3")
REPLICA = "postgres-2"
NAMES = ("proxy", "postgres", "redis", "bucket", *INGESTS, *PROCESSORS, REPLICA)
FIRST_NUMBER = 10  # the first host's last address byte
BUCKET, PREFIX = "headrace", "fleet"


class Fleet:
    """Created by `built`, inside the fleet's network namespace. Scenarios start the processors that they need."""

    def __init__(self, base: Path, model_dir: Path | None = None) -> None:
        """`model_dir`: folder of real models, read-only."""
        self.base = base
        self.model_dir = model_dir
        self.network = Network()
        self.hosts = {name: Host(name, FIRST_NUMBER + number, base) for number, name in enumerate(NAMES)}
        self.receiver = Receiver(settings.WEBHOOK_SECRET, (CLIENT_ADDRESS,))
        self.ingests = [self._service(name, "ingest_service", settings.ingest, settings.SERVE_PORT) for name in INGESTS]
        self.processors = [
            self._service(name, "processor_service", settings.processor, settings.HEALTH_PORT) for name in PROCESSORS
        ]
        self.postgres: Server
        self.replica: Server  # of `postgres`, until a scenario promotes it
        self.record: Record
        self.redis: Redis
        self.bucket: bucket.Bucket
        self.blobs: BlobStore
        self.http: aiohttp.ClientSession
        self.warmed: set[int] = set()  # counts of processors that are warmed up
        self.long: Golden
        self.short: Golden
        self._redis_url = ""
        self._password = secrets.token_hex(16)

    @classmethod
    @contextlib.asynccontextmanager
    async def built(
        cls, base: Path, *, model_dir: Path | None = None, logs: Path | None = None
    ) -> AsyncIterator["Fleet"]:
        """Start all hosts in an empty folder, with both ingests behind the proxy and no processor."""
        fleet = cls(base, model_dir)
        try:
            async with contextlib.AsyncExitStack() as stack:
                await fleet._open(stack)
                yield fleet
        finally:
            if logs is not None:
                _keep_logs(base, logs)

    @property
    def services(self) -> list[Service]:
        return [*self.ingests, *self.processors]

    @property
    def url(self) -> str:
        """The proxy's base URL."""
        return f"http://{self.hosts['proxy'].address}:{settings.SERVE_PORT}"

    @property
    def database_url(self) -> str:
        """The database URL that the services use."""
        return self.record.service_url(self._password)

    def temporary(self, name: str) -> Path:
        """A host's folder for temporary files."""
        return self.hosts[name].folder / "tmp"

    def model(self, name: str) -> Path:
        """The folder where a processor's scripted transcriber logs its calls."""
        return self.hosts[name].folder / "model"

    async def golden_of(self, wav: bytes) -> Golden:
        """The expected result of a recording."""
        where = self.base / f"golden-{len(wav)}"
        return await asyncio.to_thread(golden, wav, where, threshold_s=settings.THRESHOLD_S, chunk_s=settings.CHUNK_S)

    async def ask_replica(self) -> None:
        """Let the checker ask the promoted replica from now on."""
        await self.record.close()
        self.record.url = self.replica.url

    async def wait_for_proxy(self) -> None:
        """Return when the proxy has answered once per ingest."""
        for _ in INGESTS:
            await until(self._answers, within_s=READY_WITHIN_S)

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        await self.network.open()
        for host in self.hosts.values():
            await self.network.add(host)
            for folder in (host.folder / "tmp", host.folder / "model"):
                folder.mkdir()
        await self._start_servers(stack)
        await stack.enter_async_context(self.receiver.listening())
        for service in self.services:
            stack.push_async_callback(_stop, service)
        await asyncio.gather(*(service.start() for service in self.ingests))
        proxy = await programs.proxy(self.hosts["proxy"], self._hosts_of(INGESTS), self.base / "proxy.log")
        stack.push_async_callback(servers.ended, proxy, signal.SIGTERM)
        key, secret = await programs.make_api_key(self.hosts[INGESTS[0]], self.database_url)
        self.receiver.expect_secret(secret)
        headers = {"Authorization": f"Bearer {key}"}
        connector = aiohttp.TCPConnector(limit=0, force_close=True)  # so that requests alternate between the ingests
        self.http = await stack.enter_async_context(
            aiohttp.ClientSession(self.url, connector=connector, headers=headers)
        )
        self.long, self.short = [await self.golden_of(speech_wav(length_s)) for length_s in (LONG_S, SHORT_S)]
        await asyncio.gather(*(service.until_ready() for service in self.ingests))
        await self.wait_for_proxy()

    async def _start_servers(self, stack: contextlib.AsyncExitStack) -> None:
        self.postgres, valkey = servers.postgres(self.hosts["postgres"]), servers.valkey(self.hosts["redis"])
        s3 = servers.Bucket(self.hosts["bucket"])
        for server in (self.postgres, valkey, s3):
            stack.push_async_callback(server.stop)
        await asyncio.gather(*(server.start() for server in (self.postgres, valkey, s3)))
        self.replica = servers.replica(self.hosts[REPLICA], self.postgres)
        stack.push_async_callback(self.replica.stop)
        await self.replica.start()
        self.record = Record(self.postgres.url)
        await self.record.prepare(self._password)
        stack.push_async_callback(self.record.close)
        await self.record.empty()
        self._redis_url = valkey.url
        self.redis = Redis.from_url(valkey.url, decode_responses=True)
        stack.push_async_callback(self.redis.aclose)
        self.bucket = bucket.Bucket(s3.url, BUCKET, PREFIX)
        assert await self.bucket.make()
        os.environ.update(environment(s3.url))
        self.blobs = BlobStore(self.bucket.url)

    @property
    def _database_hosts(self) -> str:
        servers_by_host = {REPLICA: self.replica, "postgres": self.postgres}
        return ",".join(f"{self.hosts[name].address}:{server.port}" for name, server in servers_by_host.items())

    def _hosts_of(self, names: Sequence[str]) -> list[Host]:
        return [self.hosts[name] for name in names]

    async def _answers(self) -> bool:
        try:
            async with self.http.get(f"{self.url}/health/live") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False

    def _service(self, name: str, module: str, own: Callable[[Host], dict[str, str]], port: int) -> Service:
        host = self.hosts[name]
        return Service(
            name,
            module,
            health_url(port, host.address),
            lambda who: {**self._common(host, who), **own(host)},
            self.base / f"{name}.log",
            inside=host.inside,
        )

    def _common(self, host: Host, who: str) -> dict[str, str]:
        return settings.common(
            host,
            database_url=at_hosts(self.record.service_url(self._password, who=who), self._database_hosts),
            redis_url=self._redis_url,
            storage_url=self.bucket.url,
            s3_endpoint=self.bucket.endpoint,
        )


async def _stop(service: Service) -> None:
    if service.lives:
        await service.stop()


def _keep_logs(base: Path, logs: Path) -> None:
    logs.mkdir(parents=True, exist_ok=True)
    for log in (*base.glob("*.log"), *base.glob("*/*.log")):
        shutil.copy(log, logs)
