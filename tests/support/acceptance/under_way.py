"""A long job in progress, for tests that interrupt it."""

import asyncio
from pathlib import Path
from typing import Any

from tests.support.acceptance.client import Client, words_of
from tests.support.acceptance.long_audio import write_long_audio

RUNNING_CHUNKS = "SELECT count(*) FROM tasks WHERE job_id = $1 AND kind = 'chunk' AND state = 'running'"


async def submit_and_wait_for_work(
    client: Client, database: Any, folder: Path, **options: object
) -> tuple[str, list[str]]:
    """Submit a minute of speech and wait until a chunk is running; return the job's id and its words."""
    texts = write_long_audio(folder / "long.flac", duration_s=60)
    job_id = await client.submit(folder / "long.flac", denoise=False, **options)
    async with asyncio.timeout(60):
        while not await database.fetchval(RUNNING_CHUNKS, job_id):  # noqa: ASYNC110 - a state of another process
            await asyncio.sleep(0.02)
    return job_id, words_of(" ".join(texts))
