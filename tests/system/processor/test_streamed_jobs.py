"""Both services: the text of a job whose options ask for it arrives before the job ends, also if a child crashes."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio

from ingest_service.database import Database
from ingest_service.jobs.events import JobWatcher
from ingest_service.jobs.views import JobKey, JobState
from ingest_service.jobs.window_feed import WindowFeed
from ingest_service.openai_api.stream import StreamEnd, stream_transcript
from ingest_service.settings import IngestSettings
from shared.connections.redis import open_redis
from shared.connections.redis_shards import alone
from shared.schemas.states import JobStatus
from shared.secret import Secret
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav
from tests.support.metrics.pair import running_processor

pytestmark = pytest.mark.process

ASK = """UPDATE jobs SET options = (options::jsonb || '{"stream_windows": true}')::json WHERE id = $1"""
SECONDS = 35
TEXT = " ".join(["tick"] * SECONDS)
END = StreamEnd(text=TEXT, segments=(), usage={"type": "duration", "seconds": SECONDS})


@pytest_asyncio.fixture
async def ingest(database_url: str, redis_url: str, storage_url: str) -> AsyncIterator[Ingest]:
    settings = IngestSettings(
        database_url=Secret(database_url),
        redis_url=Secret(redis_url),
        storage_url=storage_url,
        auth="none",
        ingest_processes=1,
    )
    async with serving(settings) as running:
        yield running


@pytest.mark.parametrize("prompt", ["SLOW 3", "CRASH ONCE streamed"])
async def test_text_arrives_before_the_job_ends(ingest: Ingest, redis_url: str, tmp_path: Path, prompt: str) -> None:
    job_id = await ingest.submit(wav(SECONDS * 32_000), denoise="false", prompt=prompt)
    await ingest.sql(ASK, job_id)
    (tmp_path / "model").mkdir()

    async with running_processor(ingest.settings, {"MODEL": str(tmp_path / "model")}):
        events = await _stream(ingest, redis_url, UUID(job_id))

    kinds = [one["type"].rpartition(".")[2] for one in events]
    assert kinds == ["delta", "delta", "done"]  # one delta would mean that the text came with the end
    assert events[0]["delta"] == " ".join(["tick"] * 30)
    assert "".join(one["delta"] for one in events[:2]) == TEXT


async def _stream(ingest: Ingest, redis_url: str, job_id: UUID) -> list[dict[str, str]]:
    """Return the events of a job's stream until it ends."""

    async def find_end(state: JobState | None) -> StreamEnd:
        assert state is not None
        assert state.status is JobStatus.COMPLETED
        return END

    key = JobKey("default", job_id)
    async with (
        open_redis(redis_url) as redis,
        Database.opened(ingest.settings.database_url.reveal(), 2) as database,
        JobWatcher.opened(database, alone(redis), ingest.stopping) as watcher,
        WindowFeed.opened(redis) as feed,
    ):
        state = await watcher.get(key)
        with watcher.listening(key, state) as listener:
            events = stream_transcript(feed, listener, job_id=job_id, state=state, find_end=find_end)
            lines = [line.decode().strip().removeprefix("data: ") async for line in events]
    return [msgspec.json.decode(line) for line in lines if line not in {":", "[DONE]"}]
