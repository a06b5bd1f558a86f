"""Both services as processes that share only PostgreSQL, Redis and a bucket, and no folder."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import pytest
import pytest_asyncio

from deploy.local.ports import free_port
from shared.blobs import blob_keys
from tests.support.acceptance.client import POLL_S, Client
from tests.support.clips import JFK
from tests.support.ingest.tus_client import Tus, metadata
from tests.support.storage.bucket import Bucket
from tests.support.storage.stores import Store, environment
from tests.tools.chaos.proxy import Mode, Proxy
from tests.tools.chaos.services import Service, health_url

SETTINGS = {
    "HEADRACE_AUTH": "none",
    "HEADRACE_STORAGE_RETRY_S": "0.5",
    "HEADRACE_STORAGE_TIMEOUT_S": "10",
    "HEADRACE_INGEST_PROCESSES": "2",
    "HEADRACE_TRANSCRIBER": "scripted",
    "HEADRACE_THREADS": "1",
    "HEADRACE_CHUNK_THRESHOLD_S": "6",  # the clip becomes several chunks
    "HEADRACE_CHUNK_S": "4",
    "HEADRACE_RETRY_WAITS_S": ",".join(["0.5"] * 60),
}


@pytest_asyncio.fixture
async def processor_proxy(bucket: Bucket) -> AsyncIterator[Proxy]:
    """The processor's proxy to the S3 server."""
    async with Proxy(int(urlsplit(bucket.endpoint).port or 0)).listening() as proxy:
        yield proxy


@pytest_asyncio.fixture
async def ingest_proxy(bucket: Bucket) -> AsyncIterator[Proxy]:
    async with Proxy(int(urlsplit(bucket.endpoint).port or 0)).listening() as proxy:
        yield proxy


@pytest.fixture
def servers(database_url: str, redis_url: str, s3: Store) -> dict[str, str]:
    """The common settings of both services."""
    return {
        "HEADRACE_DATABASE_URL": database_url,
        "HEADRACE_REDIS_URL": redis_url,
        "HEADRACE_STORAGE_URL": s3.url,
    }


@pytest_asyncio.fixture
async def client(
    servers: dict[str, str], processor_proxy: Proxy, ingest_proxy: Proxy, tmp_path: Path
) -> AsyncIterator[Client]:
    """A client; both services are ready."""
    port, health_port = free_port(), free_port()
    common = {**SETTINGS, **servers, "HEADRACE_PORT": str(port), "HEADRACE_HEALTH_PORT": str(health_port)}
    ingest = Service(
        "ingest", "ingest_service", health_url(port), _own(common, ingest_proxy, tmp_path), tmp_path / "ingest.log"
    )
    processor = Service(
        "processor",
        "processor_service",
        health_url(health_port),
        _own(common, processor_proxy, tmp_path),
        tmp_path / "p.log",
    )
    async with contextlib.AsyncExitStack() as running:
        for service in (ingest, processor):
            await service.start()
            running.push_async_callback(service.stop)
        for service in (ingest, processor):
            await service.until_ready()
        http = await running.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{port}"))
        yield Client(http)


def _own(common: dict[str, str], proxy: Proxy, tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Return the environment of a service by name, with its own proxy to the bucket and its own temporary folder."""

    def of(name: str) -> dict[str, str]:
        folder = tmp_path / name
        folder.mkdir()
        return {**common, **environment(f"http://127.0.0.1:{proxy.port}"), "TMPDIR": str(folder)}

    return of


async def test_jobs_are_completed_with_a_bucket_only(client: Client, s3: Store, tmp_path: Path) -> None:
    sound = JFK.path.read_bytes()
    at_once = await client.submit(JFK.path)
    resumed = await _upload_in_two_parts(client, sound)
    direct = await _upload_presigned(client, sound)

    for job_id in (at_once, resumed, direct):
        job = await client.ended(job_id)
        assert (job["status"], job["error"]) == ("COMPLETED", None)
        assert job["audio"]["sha256"] == hashlib.sha256(sound).hexdigest()
        assert set((await client.text(job_id, "txt")).split()) == {"tick"}, (
            "the scripted transcriber returns this word only"
        )
        assert await client.audio(job_id, "original") == (200, sound)
    assert await client.audio(at_once, "original", {"Range": "bytes=1000-4999"}) == (206, sound[1000:5000])
    assert await client.audio(at_once, "denoised", {"Range": "bytes=0-3"}) == (206, b"fLaC")
    contents = await s3.contents()
    known = {key for job_id in (at_once, resumed, direct) for key in blob_keys.all_of_job(UUID(job_id), chunks=0)}
    assert {blob_keys.denoised(UUID(at_once), 1), blob_keys.transcript(UUID(at_once), 1)} <= set(contents) <= known
    assert not [key for key in contents if key.startswith(("uploads/", "direct/"))]
    for log in ("ingest", "p"):
        assert "X-Amz" not in (tmp_path / f"{log}.log").read_text()

    for job_id in (at_once, resumed, direct):
        async with client.http.delete(f"/v1/jobs/{job_id}") as answer:
            assert answer.status == 204
    assert await s3.contents() == []


async def _upload_in_two_parts(client: Client, sound: bytes) -> str:
    tus = Tus(client.http, "")
    path = await tus.created(len(sound), Upload_Metadata=metadata(filename="jfk.flac", denoise="false"))
    await tus.patch(path, 0, sound[:100_000])
    return (await tus.patch(path, 100_000, sound[100_000:])).headers["Headrace-Job-Id"]


async def _upload_presigned(client: Client, sound: bytes) -> str:
    async with client.http.post("/v1/uploads/presigned") as answer:
        upload = await answer.json()
    async with aiohttp.ClientSession() as stranger, stranger.put(upload["url"], data=sound) as answer:
        assert answer.status == 200
    async with client.http.post("/v1/jobs", json={"upload_id": upload["upload_id"]}) as answer:
        job_id: str = (await answer.json())["job_id"]
    return job_id


async def test_without_the_bucket_uploads_are_refused_and_jobs_wait(
    client: Client, processor_proxy: Proxy, ingest_proxy: Proxy, s3: Store
) -> None:
    ingest_proxy.set(Mode.REFUSE)
    async with client.http.post("/v1/jobs", data=b"fLaC" * 100, headers={"Content-Type": "audio/flac"}) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (503, "storage_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    async with client.http.get("/health/ready") as answer:
        assert (answer.status, "storage" in await answer.text()) == (503, True)
    ingest_proxy.set(Mode.PASS)
    assert await s3.contents() == []

    processor_proxy.set(Mode.REFUSE)
    job_id = await client.submit(JFK.path, denoise=False)
    while (job := await client.job(job_id))["attempts"] < 2:
        assert job["status"] in {"QUEUED", "PROCESSING"}, job
        await asyncio.sleep(POLL_S)
    processor_proxy.set(Mode.PASS)
    assert (await client.ended(job_id))["status"] == "COMPLETED"
