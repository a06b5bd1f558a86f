"""Submits jobs, many at a time, and remembers of every attempt what was sent and what was answered."""

import asyncio
import hashlib
import random
import time
from collections.abc import Callable

import aiohttp
import msgspec

from tests.chaos.golden import Golden
from tests.chaos.sounds import marked

ANSWER_WITHIN_S = 20.0
AT_ONCE = 8
WAIT_AFTER_REFUSAL_S = 0.1


class Attempt(msgspec.Struct, kw_only=True):
    """One upload. `status` is None where the connection broke or nothing was answered: nobody knows what happened."""

    number: int
    sha256: str
    sent_at: float
    expected: str  # the state in which its job must end
    webhook: str | None  # the path of its endpoint
    answered_at: float = 0.0
    status: int | None = None
    retry_after: str | None = None
    job_id: str | None = None
    text: str  # what its transcript must say
    calls: int  # of the transcriber, that it takes
    chunks: int  # that are tasks of their own; none in a recording that goes through under one lease
    may_be_cancelled: bool = False  # it was asked for, and perhaps too late
    erased: bool = False
    unheard: bool = False  # its endpoint never says yes, or is not to be reached


class Load:
    """A client of the ingest, for the length of one run."""

    def __init__(
        self, name: str, http: aiohttp.ClientSession, url: str, webhook_url: Callable[[str], str], rng: random.Random
    ) -> None:
        self.attempts: list[Attempt] = []
        self._name = name
        self._http = http
        self._url = url
        self._webhook_url = webhook_url
        self._rng = rng

    @property
    def accepted(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.status == 202]

    async def jobs(
        self, recording: Golden, count: int, *, within_s: float = 120.0, at_once: int = AT_ONCE, **how: object
    ) -> list[Attempt]:
        """Upload until so many were accepted; what is refused is sent again, as another upload."""
        accepted: list[Attempt] = []

        async def one() -> None:
            while (attempt := await self.attempt(recording, **how)).status != 202:  # type: ignore[arg-type]  # noqa: ASYNC110 - a client that tries again
                await asyncio.sleep(WAIT_AFTER_REFUSAL_S)
            accepted.append(attempt)

        async with asyncio.timeout(within_s):
            await _at_once(at_once, count, one)
        return accepted

    async def attempt(  # noqa: PLR0913 - all by name
        self,
        recording: Golden,
        *,
        webhook: str | None = "ok",
        expected: str = "COMPLETED",
        prompt: str | None = None,
        audio: Callable[[bytes], bytes] = lambda wav: wav,
        unheard: bool = False,
    ) -> Attempt:
        """Upload once, whatever comes of it. `webhook` is the endpoint's behaviour, None is none."""
        number = len(self.attempts)
        data = audio(marked(recording.wav, f"{self._name} {number} {self._rng.random()}"))
        path = None if webhook is None else f"{webhook}/{self._name}-{number}"
        attempt = Attempt(
            number=number,
            sha256=hashlib.sha256(data).hexdigest(),
            sent_at=time.time(),
            expected=expected,
            webhook=path,
            text=recording.text,
            calls=recording.calls,
            chunks=recording.chunks,
            unheard=unheard,
        )
        self.attempts.append(attempt)
        await self._send(attempt, data, self._query(path, prompt))
        return attempt

    def _query(self, path: str | None, prompt: str | None) -> dict[str, str]:
        query = {"denoise": "false"}
        if path is not None:
            query["webhook_url"] = path if "://" in path else self._webhook_url(path)
        if prompt is not None:
            query["prompt"] = prompt
        return query

    async def _send(self, attempt: Attempt, data: bytes, query: dict[str, str]) -> None:
        try:
            async with self._http.post(
                f"{self._url}/v1/jobs",
                data=data,
                params=query,
                headers={"Content-Type": "audio/wav"},
                timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S),
            ) as answer:
                body = await answer.json(content_type=None)
                attempt.status = answer.status
                attempt.retry_after = answer.headers.get("Retry-After")
                attempt.job_id = body.get("job_id")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            attempt.status = None
        finally:
            attempt.answered_at = time.time()


async def _at_once(workers: int, count: int, one: Callable[[], object]) -> None:
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await one()  # type: ignore[misc]

    async with asyncio.TaskGroup() as group:
        for _ in range(min(workers, count)):
            group.create_task(work())
