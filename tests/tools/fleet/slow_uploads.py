"""Uploads slow enough to be interrupted: plain ones, and resumable ones that are resumed."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from uuid import UUID

import aiohttp

from tests.support.ingest.tus_client import Tus
from tests.tools.chaos.load import Attempt
from tests.tools.chaos.sounds import marked, padded
from tests.tools.fleet.trial import Trial, now

ACKNOWLEDGED_BYTES = 1 << 20  # of a resumable upload, sent in a request before the one that breaks
STEPS, STEP_S = 80, 0.08  # an upload is sent in this many pieces, with this pause
RESUMED_WITHIN_S = 60.0
WAIT_S = 0.5
BROKEN = (aiohttp.ClientError, TimeoutError, OSError)


class Sent:
    """One slow upload and its progress. Times are Unix seconds."""

    def __init__(self, attempt: Attempt, data: bytes) -> None:
        self.attempt = attempt
        self.data = data
        self.share = 0.0
        self.broke_at: float | None = None
        self.kept_bytes: int | None = None
        self.resumed_at: float | None = None

    async def body(self, offset: int = 0) -> AsyncIterator[bytes]:
        data = self.data[offset:]
        size = -(-len(data) // STEPS)
        for start in range(0, len(data), size):
            yield data[start : start + size]
            self.share = (start + size) / len(data)
            await asyncio.sleep(STEP_S)


def upload(trial: Trial, size: int) -> Sent:
    short = trial.fleet.short
    data = padded(marked(short.wav, f"{trial.name} {trial.rng.random()}"), size)
    attempt = Attempt(
        number=-1,
        sha256=hashlib.sha256(data).hexdigest(),
        sent_at=now(),
        expected="COMPLETED",
        webhook=None,
        text=short.text,
        calls=short.calls,
        chunks=short.chunks,
    )
    return Sent(attempt, data)


async def send_plainly(trial: Trial, one: Sent) -> None:
    """Send an upload once as a raw body."""
    headers, params = {"Content-Type": "audio/wav"}, {"denoise": "false"}
    try:
        async with trial.fleet.http.post("/v1/jobs", data=one.body(), headers=headers, params=params) as answer:
            body = await answer.json(content_type=None)
            one.attempt.status, one.attempt.job_id = answer.status, body.get("job_id")
    except BROKEN:
        one.broke_at = now()


async def send_resumably(tus: Tus, path: str, one: Sent) -> None:
    """Send a tus upload and resume it, at any ingest, until it is a job."""
    first = await tus.patch(path, 0, one.data[:ACKNOWLEDGED_BYTES])
    assert first.offset == ACKNOWLEDGED_BYTES, first
    with contextlib.suppress(*BROKEN):
        _note(one, (await tus.patch(path, first.offset, one.body(first.offset))).headers)
        return
    one.broke_at = now()
    async with asyncio.timeout(RESUMED_WITHIN_S):
        while one.attempt.job_id is None:
            with contextlib.suppress(*BROKEN):
                await _resume(tus, path, one)
            await asyncio.sleep(0 if one.attempt.job_id else WAIT_S)


async def _resume(tus: Tus, path: str, one: Sent) -> None:
    head = await tus.head(path)
    if head.status != 200:
        return
    if one.resumed_at is None:
        one.kept_bytes, one.resumed_at = head.offset, now()
    _note(one, (await tus.patch(path, head.offset, one.data[head.offset :])).headers)


def _note(one: Sent, headers: Mapping[str, str]) -> None:
    job_id = headers.get("Headrace-Job-Id")
    if job_id is not None:
        one.attempt.status, one.attempt.job_id = 202, str(UUID(job_id))
