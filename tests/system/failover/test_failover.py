"""The primary is killed and its replica promoted while clients upload and jobs run. The services go on alone."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest

from ingest_service.settings import IngestSettings
from shared.blobs import blob_keys
from shared.secret import Secret
from tests.support.connections.replica import Pair, replicated
from tests.support.ingest.process import running
from tests.support.ingest.sounds import wav
from tests.support.metrics.pair import running_processor
from tests.tools.chaos.waiting import became_true, until

CLIENTS = 4
SOME = 8  # uploads
WITHIN_S = 90.0
ORPHAN_AGE_S = 5.0  # longer than an upload from its first byte to its commit
LOST = ("not_found", "job_erased")  # the second one once its blobs were found and erased as orphans


class Uploads:
    """Clients that upload one file after another until they are stopped, and send a refused one again."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.accepted: dict[str, float] = {}  # job ids → time
        self.refused = 0
        self._http = http
        self._stopping = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Upload during the block. Raise what a client raised."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self._upload_forever())
            try:
                yield
            finally:
                self._stopping = True

    async def more(self) -> None:
        """Wait until SOME further uploads are accepted."""
        wanted = len(self.accepted) + SOME
        await until(lambda: len(self.accepted) >= wanted, within_s=WITHIN_S)

    async def _upload_forever(self) -> None:
        while not self._stopping:
            await became_true(self._upload, within_s=WITHIN_S)

    async def _upload(self) -> bool:
        headers = {"Content-Type": "audio/wav"}
        async with self._http.post("/v1/jobs?denoise=false", data=wav(), headers=headers) as answer:
            said = await answer.json()
        if answer.status != 202:
            assert (answer.status, said["code"]) == (503, "database_unavailable"), said
            self.refused += 1
            return False
        self.accepted[said["job_id"]] = time.monotonic()
        return True


async def status_of(http: aiohttp.ClientSession, job_id: str) -> str:
    async with http.get(f"/v1/jobs/{job_id}") as answer:
        said = await answer.json()
    return str(said["status"] if answer.status == 200 else said["code"])


@asynccontextmanager
async def serving(
    folder: Path, redis_url: str, *, synchronous: bool
) -> AsyncIterator[tuple[Pair, aiohttp.ClientSession]]:
    """Both services with a primary and its replica. The ingest reads from the replica, too."""
    servers = folder / "servers"
    servers.mkdir()
    async with replicated(servers, synchronous=synchronous) as pair:
        settings = IngestSettings(
            database_url=Secret(pair.url),
            database_replica_url=Secret(f"{pair.url}?target_session_attrs=standby"),
            redis_url=Secret(redis_url),
            storage_url=(folder / "blobs").as_uri(),
            ingest_processes=1,
        )
        processor = {"SLOTS": "2", "LEASE_S": "3", "ORPHAN_AGE_S": str(ORPHAN_AGE_S)}
        async with (
            running(settings) as (_, url),
            running_processor(settings, processor),
            # This process may stand still for longer than the ingest keeps an idle connection.
            aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(force_close=True)) as http,
        ):
            yield pair, http


async def test_with_synchronous_replication_no_acknowledged_job_is_lost(
    tmp_path: Path, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(tmp_path, redis_url, synchronous=True) as (pair, http):
        uploads = Uploads(http)
        async with uploads.running():
            await uploads.more()
            await pair.primary.kill()
            report = await _promoted(pair, uploads)
        for job_id in uploads.accepted:
            await _until_it_is(http, job_id, "COMPLETED")
        with capsys.disabled():
            print(f"\nsynchronous: {len(uploads.accepted)} accepted, {uploads.refused} refused, none lost; {report}")


async def test_without_it_the_jobs_are_lost_that_the_replica_did_not_have_and_so_are_their_blobs(
    tmp_path: Path, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(tmp_path, redis_url, synchronous=False) as (pair, http):
        uploads = Uploads(http)
        async with uploads.running():
            await uploads.more()
            replicated_jobs = set(uploads.accepted)
            await until(lambda: has_all(pair, replicated_jobs), within_s=WITHIN_S)
            await pair.replica.kill()
            await uploads.more()
            await pair.primary.kill()
            # Also those that were accepted while the replica was being killed.
            at_risk = uploads.accepted.keys() - replicated_jobs
            await pair.replica.start()
            report = await _promoted(pair, uploads)
        lost = {job_id for job_id in at_risk if await status_of(http, job_id) in LOST}
        with capsys.disabled():
            print(f"\nasynchronous: {len(uploads.accepted)} accepted, {len(lost)} lost; {report}")
        assert len(lost) >= SOME
        for job_id in uploads.accepted.keys() - lost:
            await _until_it_is(http, job_id, "COMPLETED")
        for job_id in lost:
            source = tmp_path / "blobs" / blob_keys.source(UUID(job_id))
            await until(partial(_is_gone, source), within_s=WITHIN_S)


async def has_all(pair: Pair, job_ids: set[str]) -> bool:
    """Whether the replica has these jobs."""
    ids = ", ".join(f"'{job_id}'" for job_id in job_ids)
    return int(await pair.on_replica(f"SELECT count(*) FROM jobs WHERE id IN ({ids})")) == len(job_ids)  # noqa: S608 - ids


async def _promoted(pair: Pair, uploads: Uploads) -> str:
    """Promote the replica and wait for new uploads. Return what it took."""
    killed_at, known = time.monotonic(), set(uploads.accepted)
    await pair.promote()
    promoted_at = time.monotonic()
    await uploads.more()
    again_at = min(at for job_id, at in uploads.accepted.items() if job_id not in known)
    return f"promoted in {promoted_at - killed_at:.1f} s, uploads accepted {again_at - promoted_at:.1f} s later"


def _is_gone(path: Path) -> bool:
    return not path.exists()


async def _until_it_is(http: aiohttp.ClientSession, job_id: str, status: str) -> None:
    async def is_it() -> bool:
        return await status_of(http, job_id) == status

    await until(is_it, within_s=WITHIN_S)
