"""Submit jobs concurrently, and keep what was sent and answered for every attempt."""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Callable

import aiohttp
import msgspec

from tests.tools.chaos.golden import Golden
from tests.tools.chaos.send import send_resumably, send_whole
from tests.tools.chaos.sounds import marked

AT_ONCE = 8
RESUMABLE_EACH = 3  # one upload in three uses tus
WAIT_AFTER_REFUSAL_S = 0.1


class Attempt(msgspec.Struct, kw_only=True):
    """One upload, in one request or by tus. `status` is None if the outcome is unknown."""

    number: int
    sha256: str
    sent_at: float
    expected: str  # the state in which its job must end
    webhook: str | None  # the path of its endpoint
    answered_at: float = 0.0
    status: int | None = None
    retry_after: str | None = None
    job_id: str | None = None
    text: str  # the expected transcript
    calls: int  # transcriber calls that it needs
    chunks: int  # chunk tasks; 0 for a recording that is processed under one lease
    may_be_cancelled: bool = False  # a cancellation was requested, perhaps too late
    erased: bool = False
    never_accepted: bool = False  # its endpoint never accepts, or must not be reached


class Load:
    """A client of the ingest for one run."""

    def __init__(
        self, name: str, http: aiohttp.ClientSession, url: str, webhook_url: Callable[[str], str], rng: random.Random
    ) -> None:
        self.attempts: list[Attempt] = []
        self._name = name
        self.http = http  # a run with API keys replaces it
        self._url = url
        self._webhook_url = webhook_url
        self._rng = rng

    @property
    def accepted(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.status == 202]

    async def jobs(
        self, recording: Golden, count: int, *, within_s: float = 120.0, at_once: int = AT_ONCE, **how: object
    ) -> list[Attempt]:
        """Upload until `count` jobs are accepted. Each rejected upload is replaced by a new one."""
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
        never_accepted: bool = False,
        with_steps: bool = False,
    ) -> Attempt:
        """Upload once, with any outcome. `webhook` is the endpoint's behaviour; None means no webhook.

        `with_steps`: redact and summarize the text, and write it to a URL.
        """
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
            never_accepted=never_accepted,
        )
        self.attempts.append(attempt)
        options = self._options(path, prompt) | (self._steps(number) if with_steps else {})
        await self._send(attempt, data, options)
        return attempt

    def _options(self, path: str | None, prompt: str | None) -> dict[str, str]:
        options = {"denoise": "false"}
        if path is not None:
            options["webhook_url"] = path if "://" in path else self._webhook_url(path)
        if prompt is not None:
            options["prompt"] = prompt
        return options

    def _steps(self, number: int) -> dict[str, str]:
        results = {"txt": self._webhook_url(f"aside/{self._name}-{number}.txt")}
        return {"redact": "iban", "summary": "true", "results_to": json.dumps(results)}

    async def _send(self, attempt: Attempt, data: bytes, options: dict[str, str]) -> None:
        send = send_resumably if attempt.number % RESUMABLE_EACH == 1 else send_whole
        answer = await send(self.http, self._url, data, options)
        attempt.status, attempt.retry_after, attempt.job_id = answer.status, answer.retry_after, answer.job_id
        attempt.answered_at = time.time()


async def _at_once(workers: int, count: int, one: Callable[[], object]) -> None:
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            await one()  # type: ignore[misc]

    async with asyncio.TaskGroup() as group:
        for _ in range(min(workers, count)):
            group.create_task(work())
