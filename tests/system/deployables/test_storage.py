"""The bucket of deploy/compose.yaml: its commands and keys, run with a packaged SeaweedFS if installed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Processes
from tests.support.deployables.composed import SERVICES, environ_of
from tests.support.deployables.unpacked import Unpacked

WEED = Path(sys.executable).with_name("weed")
PARTS = ("master", "volume", "filer", "s3")
TIMEOUT_S = 60

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not WEED.exists(), reason="SeaweedFS is not installed"),
]

STORE_AND_READ = """
import asyncio, os, sys
from shared.blobs.blob_errors import BlobStoreError
from shared.blobs.blob_store import BlobStore

async def main():
    blobs = BlobStore(os.environ["HEADRACE_STORAGE_URL"])
    try:
        await blobs.put("jobs/x/source", b"audio")
        print((await blobs.get("jobs/x/source")).decode())
    except BlobStoreError as error:
        print("denied")

asyncio.run(main())
sys.stdout.flush()
os._exit(0)  # a normal exit directly after an error may abort, as obstore's threads still run
"""


class Storage:
    """The running server: the URL of its S3 API and the address of its master."""

    def __init__(self, url: str, master: str) -> None:
        self.url = url
        self.master = master

    async def make_bucket(self) -> int:
        """Run the command of Compose's bucket container; return its exit status."""
        (script,) = SERVICES["bucket"]["command"]
        process = await asyncio.create_subprocess_exec(
            *SERVICES["bucket"]["entrypoint"],
            script.replace("127.0.0.1:9333", self.master),
            env={"PATH": f"{WEED.parent}:{os.environ['PATH']}"},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        return await asyncio.wait_for(process.wait(), TIMEOUT_S)

    def settings(self, service: str, secrets: Path, **changes: str) -> dict[str, str]:
        return environ_of(service, secrets) | {"AWS_ENDPOINT_URL": self.url} | changes


@pytest_asyncio.fixture(scope="session")
async def storage(secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Storage]:
    here = {
        "-dir=/data": f"-dir={tmp_path_factory.mktemp('storage')}",
        "-s3.config=/run/secrets/s3_keys": f"-s3.config={secrets / 's3.json'}",
        "-s3.ip.bind=0.0.0.0": f"-s3.ip.bind={LOOPBACK}",
    }
    options = [here.get(word, word) for word in SERVICES["storage"]["command"]]
    ports = {part: (free_port(), free_port()) for part in PARTS}
    for part, (port, grpc_port) in ports.items():
        options += [f"-{part}.port={port}", f"-{part}.port.grpc={grpc_port}"]
    processes = Processes()
    process = await processes.start([WEED, *options], output=asyncio.subprocess.DEVNULL)
    storage = Storage(f"http://{LOOPBACK}:{ports['s3'][0]}", f"{LOOPBACK}:{ports['master'][0]}.{ports['master'][1]}")
    try:
        await _healthy(storage.url)
        yield storage
    finally:
        await processes.kill_remaining(process)


async def _healthy(url: str) -> None:
    """Wait until Compose's health check would pass."""
    path = SERVICES["storage"]["healthcheck"]["test"][-1].removeprefix("http://127.0.0.1:8333")
    async with asyncio.timeout(TIMEOUT_S), aiohttp.ClientSession(url) as client:
        while True:
            try:
                async with client.get(path) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


async def test_the_bucket_is_created_once_and_each_service_has_its_own_key(
    storage: Storage, ingest_image: Unpacked, processor_image: Unpacked, secrets: Path
) -> None:
    assert await storage.make_bucket() == 0
    assert await storage.make_bucket() == 0
    script = ["python", "-c", STORE_AND_READ]
    assert await ingest_image.run(script, storage.settings("ingest", secrets)) == (0, "audio\n")
    assert await processor_image.run(script, storage.settings("processor", secrets)) == (0, "audio\n")
    for changes in ({"AWS_SECRET_ACCESS_KEY": "guessed"}, {"HEADRACE_STORAGE_URL": "s3://another/blobs"}):
        assert await ingest_image.run(script, storage.settings("ingest", secrets, **changes)) == (0, "denied\n")
