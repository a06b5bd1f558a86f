"""Streams a transcript as OpenAI's server-sent events while the job runs: deltas, segments, the end.

Deltas come from the job's window feed. Together they are the text of the end, unless a later step changed a window.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from ingest_service.jobs.events import HEARTBEAT, HEARTBEAT_S, Listener
from ingest_service.jobs.views import JobState
from ingest_service.jobs.window_feed import WindowFeed, WindowReader
from shared.schemas.windows import WindowSegment
from shared.unspaced import edges_of, joined_text

DONE = b"data: [DONE]\n\n"
SAME_TIME_S = 0.05  # times are rounded


class StreamSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment of the final transcript. `speaker` is the name that the client sees, if speakers were requested."""

    id: str
    start: float
    end: float
    text: str
    speaker: str = ""


class StreamEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a stream whose job has completed."""

    text: str
    segments: tuple[StreamSegment, ...]
    usage: dict[str, Any]
    is_diarized: bool = False  # an event for each segment follows the deltas


class StreamFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The end of any other stream: OpenAI's error object, with `message`, `type`, `param` and `code`."""

    error: dict[str, Any]


# Gets the last state of the job; None when the process stops, or the job or the client's key is gone.
FindEnd = Callable[[JobState | None], Awaitable[StreamEnd | StreamFailure]]


async def stream_transcript(
    feed: WindowFeed,
    listener: Listener,
    *,
    job_id: UUID,
    state: JobState,
    find_end: FindEnd,
) -> AsyncGenerator[bytes]:
    """Stream a job from its start until it ends. `state` is its state when `listener` was opened.

    Sends a comment at once and after every 15 s without an event.
    """
    yield HEARTBEAT
    deltas = Deltas()
    last: JobState | None = state
    with feed.reading(job_id) as reader:
        async for news in _news(listener, reader, state):
            if isinstance(news, _Ended):
                last = news.state
            elif news is None:
                yield HEARTBEAT
            elif delta := deltas.add(news):
                yield _event("transcript.text.delta", delta=delta)
    end = await find_end(last)
    if isinstance(end, StreamFailure):
        yield _data({"error": end.error})
        return
    for event in _end_events(end, deltas):
        yield event
    yield DONE


class Deltas:
    """The text that a client has received."""

    def __init__(self) -> None:
        self._deltas: list[str] = []
        self._edges = ""  # of the text: joining copies what it joins, and a day's text has a megabyte
        self._until_s = 0.0

    def add(self, segments: Iterable[WindowSegment | StreamSegment]) -> str:
        """Return what the next segments add to the text, with a blank where one belongs."""
        added = []
        for segment in segments:
            joined = joined_text([self._edges, segment.text])
            added.append(joined[len(self._edges) :])
            self._edges = edges_of(joined)
            self._until_s = max(self._until_s, segment.end)
        self._deltas.append("".join(added))
        return self._deltas[-1]

    def rest(self, end: StreamEnd) -> str:
        """Return what the final transcript adds. If its beginning was changed: the segments after the received ones."""
        received = "".join(self._deltas)
        if end.text.startswith(received):
            return end.text[len(received) :]
        return self.add([one for one in end.segments if one.start >= self._until_s - SAME_TIME_S])


class _Ended(msgspec.Struct, frozen=True):
    state: JobState | None


async def _news(
    listener: Listener, reader: WindowReader, state: JobState
) -> AsyncGenerator["Sequence[WindowSegment] | _Ended | None"]:
    """Give the segments of each window, None after a time without any, and the end of the job."""
    changes, windows = asyncio.create_task(listener.next()), asyncio.create_task(reader.next())
    clock = asyncio.get_running_loop().time
    due_s = clock() + HEARTBEAT_S
    try:
        while not state.is_over:
            await asyncio.wait((changes, windows), timeout=due_s - clock(), return_when=asyncio.FIRST_COMPLETED)
            if windows.done():
                yield windows.result().segments
                windows = asyncio.create_task(reader.next())
                due_s = clock() + HEARTBEAT_S
            elif changes.done():
                if (changed := changes.result()) is None:
                    yield _Ended(None)
                    return
                state = changed
                changes = asyncio.create_task(listener.next())
            if clock() >= due_s:
                yield None
                due_s = clock() + HEARTBEAT_S
        yield _Ended(state)
    finally:
        changes.cancel()
        windows.cancel()


def _end_events(end: StreamEnd, deltas: Deltas) -> Iterable[bytes]:
    if rest := deltas.rest(end):
        yield _event("transcript.text.delta", delta=rest)
    if end.is_diarized:
        for one in end.segments:
            yield _event("transcript.text.segment", **msgspec.structs.asdict(one))
    yield _event("transcript.text.done", text=end.text, usage=end.usage)


def _event(kind: str, **fields: Any) -> bytes:
    return _data({"type": kind, **fields})


def _data(value: Any) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(value)
