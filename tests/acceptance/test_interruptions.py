"""Processes die and are stopped in the middle of a job; the job ends all the same, and nothing counts as a failure."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from tests.acceptance.client import Client, words_of
from tests.acceptance.long_audio import write_long_audio
from tests.stack.launched import Launched, alive, descendants

RUNNING_CHUNKS = "SELECT count(*) FROM tasks WHERE job_id = $1 AND kind = 'chunk' AND state = 'running'"
TASKS = "SELECT kind, state, attempts, crashes FROM tasks WHERE job_id = $1"


@pytest_asyncio.fixture
async def database(stack: Launched) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stack.settings()["HEADRACE_DATABASE_URL"])
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def job_under_way(client: Client, database: asyncpg.Connection, tmp_path: Path) -> tuple[str, list[str]]:
    """A long job with a chunk being transcribed, and its words."""
    texts = write_long_audio(tmp_path / "long.flac", duration_s=60)
    job_id = await client.submit(tmp_path / "long.flac", denoise=False)
    async with asyncio.timeout(60):
        while not await database.fetchval(RUNNING_CHUNKS, job_id):  # noqa: ASYNC110 - a state of another process
            await asyncio.sleep(0.02)
    return job_id, words_of(" ".join(texts))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_job_outlives_its_processor(
    client: Client,
    stack: Launched,
    database: asyncpg.Connection,
    job_under_way: tuple[str, list[str]],
    number: signal.Signals,
) -> None:
    job_id, words = job_under_way
    processor = stack.pids()["processor-0"]
    family = {processor, *descendants(processor)}

    os.kill(processor, number)

    job = await client.ended(job_id)
    assert (job["status"], job["attempts"]) == ("COMPLETED", 1)
    assert stack.pids()["processor-0"] != processor
    assert alive(family) == set()
    heard = words_of((await client.transcript(job_id))["text"])
    assert len(heard) == pytest.approx(len(words), rel=0.1)
    tasks = await database.fetch(TASKS, job_id)
    assert {task["state"] for task in tasks} == {"done"}
    assert {task["attempts"] for task in tasks} == {0}


async def test_a_job_outlives_its_compute_child(
    client: Client, stack: Launched, database: asyncpg.Connection, job_under_way: tuple[str, list[str]]
) -> None:
    job_id, _ = job_under_way

    for child in descendants(stack.pids()["processor-0"]):
        os.kill(child, signal.SIGSEGV)

    assert (await client.ended(job_id))["status"] == "COMPLETED"
    assert max(task["crashes"] for task in await database.fetch(TASKS, job_id)) == 1
