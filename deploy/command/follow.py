"""Wait until a job ends: by its event stream, or by polling where streams do not get through."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import msgspec

from deploy.command.api import Api, unexpected, unreachable
from deploy.command.errors import CommandError
from shared.schemas.api import JobEvent, JobView
from shared.schemas.states import JOB_TERMINAL

STREAM_TIMEOUT = httpx.Timeout(60, connect=10, read=45, pool=None)  # a comment comes every 15 s
LONGEST_LINE_BYTES = 1 << 20
POLL_S = 2.0
PAUSE_S = 0.5
STREAM_ATTEMPTS = 3  # in a row without an event; then it is polled

Changed = Callable[[JobEvent | JobView], None]


async def wait_for_end(api: Api, job_id: str, changed: Changed) -> JobView:
    """Return the job when it has ended. Raise CommandError."""
    silent = 0
    while True:
        if silent < STREAM_ATTEMPTS:
            silent = 0 if await _follow(api, job_id, changed) else silent + 1
        job = await api.get(JobView, f"/v1/jobs/{job_id}")
        changed(job)
        if job.status in JOB_TERMINAL:
            return job
        await asyncio.sleep(PAUSE_S if silent < STREAM_ATTEMPTS else POLL_S)


async def _follow(api: Api, job_id: str, changed: Changed) -> bool:
    """Read the stream until it ends or breaks. Return whether it brought an event."""
    brought = False
    try:
        async for event in stream_events(api, job_id):
            brought = True
            changed(event)
    except CommandError:
        pass  # the job is asked for next
    return brought


async def stream_events(api: Api, job_id: str) -> AsyncIterator[JobEvent]:
    """Yield a job's events until the stream ends, or after the last event. Raise ApiError or UnreachableError."""
    try:
        async with api.http.stream(
            "GET", f"/v1/jobs/{job_id}/events", headers={"Accept": "text/event-stream"}, timeout=STREAM_TIMEOUT
        ) as answer:
            if answer.status_code != 200:
                raise unexpected(answer, f"status {answer.status_code}")  # the job is asked for next
            async for line in _lines(answer):
                event = parse_line(line)
                if event is not None:
                    yield event
                    if event.status in JOB_TERMINAL:
                        return
    except httpx.RequestError as error:
        raise unreachable(api.address, error) from error


async def _lines(answer: httpx.Response) -> AsyncIterator[str]:
    """Yield the complete lines. Raise ApiError if one is too long."""
    rest = b""
    async for piece in answer.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
        if len(rest) > LONGEST_LINE_BYTES:
            raise unexpected(answer, "a line without an end")


def parse_line(line: str) -> JobEvent | None:
    """Return the event of a `data:` line; None for other lines."""
    if not line.startswith("data:"):
        return None
    try:
        return msgspec.json.decode(line.removeprefix("data:").strip(), type=JobEvent)
    except msgspec.MsgspecError:
        return None  # no event of a job: what a proxy sent
