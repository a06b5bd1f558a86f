"""Tells one client of one job by server-sent events: a state, then each change, until the job has ended."""

import asyncio
from collections.abc import AsyncIterator

from ingest_service.jobs.events import JobWatcher
from ingest_service.jobs.job_state import JobKey, JobState, event

HEARTBEAT_S = 15.0  # proxies close what is silent for a minute; and a client that is gone is found out by writing
HEARTBEAT = b":\n\n"
RECONNECT = b"retry: 2000\n\n"  # milliseconds; a client whose stream was cut comes back after so many

HEADERS = {
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx would keep the events for itself
}


async def stream_events(
    watcher: JobWatcher, key: JobKey, state: JobState, last_event_id: str | None
) -> AsyncIterator[bytes]:
    """The stream. It begins with `state`, unless that is the one that `last_event_id` names."""
    with watcher.listening(key, state) as listener:
        yield RECONNECT
        if state.event_id != last_event_id:
            yield event(key.job_id, state)
        while not state.is_over:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    news = await listener.next()
            except TimeoutError:
                yield HEARTBEAT
                continue
            if news is None:
                return  # the process stops, or the job's row is gone: whoever comes back is told more
            state = news
            yield event(key.job_id, state)
