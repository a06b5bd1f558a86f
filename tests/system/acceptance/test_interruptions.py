"""Processes die or stop during a job; the job completes, and nothing counts as a failure."""

import os
import signal
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from tests.support.acceptance.client import Client, words_of
from tests.support.acceptance.under_way import submit_and_wait_for_work
from tests.support.stack.launched import Launched, alive, descendants

TASKS = "SELECT kind, state, attempts, crashes FROM tasks WHERE job_id = $1"


@pytest_asyncio.fixture
async def job_under_way(client: Client, database: asyncpg.Connection, tmp_path: Path) -> tuple[str, list[str]]:
    """A long job with a chunk being transcribed, and its words."""
    return await submit_and_wait_for_work(client, database, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_job_survives_the_death_of_its_processor(
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
    transcribed = words_of((await client.transcript(job_id))["text"])
    assert len(transcribed) == pytest.approx(len(words), rel=0.1)
    tasks = await database.fetch(TASKS, job_id)
    assert {task["state"] for task in tasks} == {"done"}
    assert {task["attempts"] for task in tasks} == {0}


async def test_a_job_survives_the_death_of_its_compute_child(
    client: Client, stack: Launched, database: asyncpg.Connection, job_under_way: tuple[str, list[str]]
) -> None:
    job_id, _ = job_under_way

    for child in descendants(stack.pids()["processor-0"]):
        os.kill(child, signal.SIGSEGV)

    assert (await client.ended(job_id))["status"] == "COMPLETED"
    assert max(task["crashes"] for task in await database.fetch(TASKS, job_id)) == 1
