"""OpenAI's stream of a transcript, over a real database and Redis: deltas while the job runs, one end, heartbeats."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio

from ingest_service.database import Database
from ingest_service.jobs.events import JobWatcher
from ingest_service.jobs.views import JobKey, JobState
from ingest_service.jobs.window_feed import WindowFeed
from ingest_service.openai_api import stream
from ingest_service.openai_api.stream import StreamEnd, StreamFailure, StreamSegment, stream_transcript
from shared.connections.redis import open_redis
from shared.connections.redis_shards import alone
from shared.schemas.failures import FailureCode
from shared.schemas.states import JobStatus
from shared.schemas.windows import Window, WindowSegment
from shared.window_feed import append_windows
from tests.support.ingest import records
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

TEXTS = ("One.", "Two.", "Three.")
SEGMENTS = tuple(
    StreamSegment(id=str(number), start=float(number), end=number + 1.0, text=text, speaker="AB"[number % 2])
    for number, text in enumerate(TEXTS)
)
END = StreamEnd(text=" ".join(TEXTS), segments=SEGMENTS, usage={"type": "duration", "seconds": 3})
FAILURE = StreamFailure(error={"message": "It broke.", "type": "server_error", "param": None, "code": "timeout"})
DONE = {"type": "transcript.text.done", "text": END.text, "usage": END.usage}


class Followed:
    """A stream of one job, read event by event."""

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        self._events = events

    async def next(self) -> Any:
        """Return the JSON of the next event; "" for a comment; "[DONE]"."""
        async with asyncio.timeout(10):
            data = (await anext(self._events)).decode()
        assert data.endswith("\n\n")
        if data == ":\n\n":
            return ""
        text = data.removeprefix("data: ").strip()
        return text if text == "[DONE]" else msgspec.json.decode(text)

    async def rest(self) -> list[Any]:
        """Return all further events but comments."""
        events = []
        with contextlib.suppress(StopAsyncIteration):
            while True:
                events.append(await self.next())
        return [one for one in events if one]


class Streams:
    """Opens streams of jobs, with what a processor does for them."""

    def __init__(self, ingest: Ingest, watcher: JobWatcher, feed: WindowFeed, redis: Any) -> None:
        self._ingest = ingest
        self._watcher = watcher
        self._feed = feed
        self._redis = redis
        self.last: JobState | None = None

    @contextlib.asynccontextmanager
    async def followed(self, job_id: str, end: StreamEnd | StreamFailure = END) -> AsyncIterator[Followed]:
        async def find_end(state: JobState | None) -> StreamEnd | StreamFailure:
            self.last = state
            return end

        key = JobKey("default", UUID(job_id))
        state = await self._watcher.get(key)
        with self._watcher.listening(key, state) as listener:
            events = stream_transcript(self._feed, listener, job_id=key.job_id, state=state, find_end=find_end)
            async with contextlib.aclosing(events):
                yield Followed(events)

    async def publish(self, job_id: str, *texts: str, number: int = 0) -> None:
        segments = tuple(
            WindowSegment(start=one.start, end=one.end, text=text)
            for text in texts
            for one in SEGMENTS
            if one.text == text
        )
        await append_windows(self._redis, [(UUID(job_id), Window(number=number, segments=segments))])


@pytest_asyncio.fixture
async def streams(ingest: Ingest, redis_url: str) -> AsyncIterator[Streams]:
    url, stopping = ingest.settings.database_url.reveal(), ingest.stopping
    async with (
        open_redis(redis_url) as redis,
        Database.opened(url, 2) as database,
        JobWatcher.opened(database, alone(redis), stopping) as watcher,
        WindowFeed.opened(redis) as feed,
    ):
        yield Streams(ingest, watcher, feed, redis)


@pytest_asyncio.fixture
async def job_id(ingest: Ingest) -> str:
    submitted = await ingest.submit(wav())
    await records.start(ingest, submitted)
    return submitted


def _delta(text: str) -> dict[str, str]:
    return {"type": "transcript.text.delta", "delta": text}


async def test_deltas_arrive_while_the_job_runs_and_the_end_once(ingest: Ingest, streams: Streams, job_id: str) -> None:
    async with streams.followed(job_id) as followed:
        assert not await followed.next()  # a comment at once: the headers are sent
        await streams.publish(job_id, "One.")
        assert await followed.next() == _delta("One.")
        await streams.publish(job_id, "Two.", number=1)
        assert await followed.next() == _delta(" Two.")
        assert (await records.job_row(ingest, job_id))["status"] == "PROCESSING"
        await records.complete(ingest, job_id)
        assert await followed.rest() == [_delta(" Three."), DONE, "[DONE]"]
        assert streams.last is not None
        assert streams.last.status is JobStatus.COMPLETED


async def test_without_windows_the_text_comes_at_the_end(ingest: Ingest, streams: Streams, job_id: str) -> None:
    async with streams.followed(job_id) as followed:
        await records.complete(ingest, job_id)
        assert await followed.rest() == [_delta(END.text), DONE, "[DONE]"]


async def test_a_job_that_has_ended_is_streamed_at_once(ingest: Ingest, streams: Streams, job_id: str) -> None:
    await records.complete(ingest, job_id)
    async with streams.followed(job_id) as followed:
        assert await followed.rest() == [_delta(END.text), DONE, "[DONE]"]


async def test_speakers_come_as_segments_before_the_end(ingest: Ingest, streams: Streams, job_id: str) -> None:
    async with streams.followed(job_id, msgspec.structs.replace(END, is_diarized=True)) as followed:
        await streams.publish(job_id, *TEXTS)
        await records.complete(ingest, job_id)
        events = await followed.rest()

    segments = [{"type": "transcript.text.segment", **msgspec.to_builtins(one)} for one in SEGMENTS]
    assert events[-5:] == [*segments, DONE, "[DONE]"]
    assert "".join(one["delta"] for one in events[:-5]) == END.text


async def test_a_failure_is_an_error_object_and_the_last_event(ingest: Ingest, streams: Streams, job_id: str) -> None:
    async with streams.followed(job_id, FAILURE) as followed:
        await streams.publish(job_id, "One.")
        assert [await followed.next(), await followed.next()] == ["", _delta("One.")]
        await records.end_job(ingest, job_id, JobStatus.FAILED, FailureCode.TIMEOUT)
        assert await followed.rest() == [{"error": FAILURE.error}]


async def test_a_process_that_stops_ends_its_streams(ingest: Ingest, streams: Streams, job_id: str) -> None:
    async with streams.followed(job_id, FAILURE) as followed:
        assert not await followed.next()
        ingest.stopping.set()
        assert await followed.rest() == [{"error": FAILURE.error}]
        assert streams.last is None


async def test_a_quiet_stream_has_heartbeats_although_progress_is_made(
    ingest: Ingest, streams: Streams, job_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.6)
    async with streams.followed(job_id) as followed:
        for progress in (0.1, 0.2, 0.3):
            await ingest.sql("UPDATE tasks SET progress = $2 WHERE job_id = $1", job_id, progress)
            assert not await followed.next()


async def test_two_streams_of_a_job_get_the_same_text(streams: Streams, job_id: str) -> None:
    await streams.publish(job_id, "One.")
    async with streams.followed(job_id) as first:
        assert [await first.next(), await first.next()] == ["", _delta("One.")]
        async with streams.followed(job_id) as late:
            assert [await late.next(), await late.next()] == ["", _delta("One.")]
            await streams.publish(job_id, "Two.", number=1)
            assert await first.next() == await late.next() == _delta(" Two.")
