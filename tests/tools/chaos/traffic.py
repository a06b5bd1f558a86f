"""Uploads and requests of every kind, so that all paths of the services run while faults are injected."""

import asyncio

import aiohttp

from shared.schemas.states import JobStatus
from tests.tools.chaos.load import Attempt
from tests.tools.chaos.run import Run
from tests.tools.chaos.send import ANSWER_WITHIN_S
from tests.tools.chaos.sounds import damaged

ORDER_AFTER_S = (0.0, 1.0)


class Traffic:
    """Mostly normal jobs. Some have an endpoint that fails once, cannot be decoded, are cancelled or erased."""

    def __init__(self, run: Run, *, chunk_s: float) -> None:
        """`chunk_s` is the time to transcribe a chunk, without using the CPU."""
        self._run = run
        self._chunk_s = chunk_s

    async def upload(self) -> Attempt:
        """Upload once, then perhaps cancel, erase or redrive."""
        attempt = await self._upload()
        dice = self._run.rng.random()
        if attempt.status == 202 and dice < 0.2:
            await asyncio.sleep(self._run.rng.uniform(*ORDER_AFTER_S))
            await (self._cancel if dice < 0.1 else self._erase)(attempt)
        elif dice > 0.95:
            await self._ask("POST", "/v1/dead-letters/redrive")
        return attempt

    async def _upload(self) -> Attempt:
        world, load, slow = self._run.world, self._run.load, f"SLOW {self._chunk_s}"
        dice = self._run.rng.random()
        if dice < 0.6:
            return await load.attempt(world.long, prompt=slow, with_steps=dice < 0.2)
        if dice < 0.8:
            return await load.attempt(world.long, prompt=slow, webhook="fail/1")
        return await load.attempt(world.short, audio=damaged, expected="FAILED")

    async def _cancel(self, attempt: Attempt) -> None:
        status = await self._ask("POST", f"/v1/jobs/{attempt.job_id}/cancel")
        if status == 200:
            attempt.expected = JobStatus.CANCELLED
        elif status != 409:  # 409: the job had ended before
            attempt.may_be_cancelled = True

    async def _erase(self, attempt: Attempt) -> None:
        attempt.may_be_cancelled = True
        attempt.erased = await self._ask("DELETE", f"/v1/jobs/{attempt.job_id}") == 204

    async def _ask(self, method: str, path: str) -> int | None:
        """Return the status of the answer. None means no answer: the outcome is unknown."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        try:
            async with self._run.world.http.request(method, self._run.world.url + path, timeout=timeout) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None
