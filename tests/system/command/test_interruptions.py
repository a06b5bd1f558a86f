"""Cuts, restarts and Ctrl-C: an upload continues, one job results, and nothing runs on that was interrupted."""

import hashlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tests.support.acceptance.client import Client
from tests.support.command import Command, Stall, ended, files_in, printed, until
from tests.support.ingest.sounds import MIB, wav
from tests.support.ingest.tus_client import breaking_after
from tests.support.stack.launched import Launched

pytestmark = pytest.mark.process

LARGE = wav(12 * MIB)


@pytest_asyncio.fixture
async def database(command_stack: Launched) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(command_stack.settings()["HEADRACE_DATABASE_URL"])
    yield connection
    await connection.close()


async def statuses(client: Client, job_ids: list[str]) -> set[str]:
    return {(await client.job(job_id))["status"] for job_id in job_ids}


async def test_an_upload_continues_after_a_cut(command_stack: Launched, folder: Path, database: Any) -> None:
    (folder / "large.wav").write_bytes(LARGE)
    uploads = await database.fetchval("SELECT count(*) FROM uploads")

    async with breaking_after(5 * MIB, command_stack.url) as url:
        done = await Command(url, folder).run("transcribe", "large.wav", "-f", "txt", "--json")

    assert done.status == 0, done.errors
    row = await database.fetchrow("SELECT source_sha256 FROM jobs WHERE id = $1", done.results[0]["job_id"])
    assert row["source_sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert await database.fetchval("SELECT count(*) FROM uploads") == uploads + 1


async def test_an_upload_continues_after_a_restart_of_the_command(
    command_stack: Launched, folder: Path, database: Any
) -> None:
    (folder / "large.wav").write_bytes(LARGE)
    before = await database.fetchval("SELECT count(*) FROM uploads")

    async with Stall(5 * MIB, command_stack.url).listening() as relay:
        command = Command(relay.url, folder)
        process = await command.start("transcribe", "large.wav", "-f", "txt", "--json")
        await relay.stalled.wait()
        process.kill()
        await ended(process)
        relay.released.set()
        done = await command.run("transcribe", "large.wav", "-f", "txt", "--json")

    assert done.status == 0, done.errors
    assert await database.fetchval("SELECT count(*) FROM uploads") == before + 1
    row = await database.fetchrow("SELECT source_sha256 FROM jobs WHERE id = $1", done.results[0]["job_id"])
    assert row["source_sha256"] == hashlib.sha256(LARGE).hexdigest()


async def test_a_job_of_a_killed_command_is_found_again(command: Command, folder: Path, database: Any) -> None:
    (folder / "a.wav").write_bytes(wav())
    arguments = ("transcribe", "a.wav", "-f", "txt", "--initial_prompt", "SLOW 3")
    process = await command.start(*arguments)
    before = await database.fetchval("SELECT count(*) FROM jobs")
    await until(lambda: database.fetchval("SELECT count(*) > $1 FROM jobs", before))
    process.kill()
    await ended(process)

    done = await command.run(*arguments, "--json")

    assert done.status == 0, done.errors
    assert await database.fetchval("SELECT count(*) FROM jobs") == before + 1


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_cancels_the_jobs_that_the_command_began(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    command: Command, folder: Path, client: Client, database: Any, number: signal.Signals, status: int
) -> None:
    for name in ("a.wav", "b.wav", "c.wav"):
        (folder / name).write_bytes(wav())
    others = await client.submit(wav(), prompt="SLOW 60")
    known = [row["id"] for row in await database.fetch("SELECT id FROM jobs")]
    new = "SELECT id FROM jobs WHERE id <> ALL($1::uuid[])"

    process = await command.start("transcribe", ".", "-f", "txt", "--initial_prompt", "SLOW 60", "--json")
    await until(lambda: _count(database, new, known, 3))
    process.send_signal(number)
    done = await ended(process)

    assert done.status == status
    assert {one["status"] for one in done.results} == {"cancelled"}
    assert await statuses(client, [str(row["id"]) for row in await database.fetch(new, known)]) == {"CANCELLED"}
    assert (await client.job(others))["status"] not in {"CANCELLED", "FAILED"}
    assert files_in(folder) == ["a.wav", "b.wav", "c.wav"]
    await client.http.post(f"/v1/jobs/{others}/cancel")

    again = await command.run("transcribe", "a.wav", "-f", "txt", "--json")
    assert again.results[0]["status"] == "done"


async def _count(database: Any, query: str, known: list[Any], wanted: int) -> bool:
    return len(await database.fetch(query, known)) == wanted


async def test_an_interrupted_upload_is_kept_and_no_job_is_made(
    command_stack: Launched, folder: Path, database: Any
) -> None:
    (folder / "large.wav").write_bytes(LARGE)
    jobs = await database.fetchval("SELECT count(*) FROM jobs")
    uploads = await database.fetchval("SELECT count(*) FROM uploads")

    async with Stall(5 * MIB, command_stack.url).listening() as relay:
        command = Command(relay.url, folder)
        process = await command.start("transcribe", "large.wav", "-f", "txt")
        await relay.stalled.wait()
        process.send_signal(signal.SIGINT)
        interrupted = await ended(process)
        relay.released.set()

        assert interrupted.status == 130
        assert await database.fetchval("SELECT count(*) FROM jobs") == jobs
        assert (await command.run("transcribe", "large.wav", "-f", "txt")).status == 0
    assert await database.fetchval("SELECT count(*) FROM uploads") == uploads + 1


async def test_the_command_survives_a_restart_of_the_service(
    command: Command, folder: Path, command_stack: Launched
) -> None:
    (folder / "a.wav").write_bytes(wav())
    process = await command.start("transcribe", "a.wav", "-f", "txt", "--initial_prompt", "SLOW 4")
    await printed(process, "a.wav")

    _kill(command_stack, "ingest")
    done = await ended(process)

    assert done.status == 0, done.errors
    assert (folder / "a.txt").exists()


def _kill(stack: Launched, name: str) -> None:
    os.kill(stack.pids()[name], signal.SIGKILL)


async def test_ctrl_c_during_the_start_ends_quietly(folder: Path) -> None:
    process = await Command("http://127.0.0.1:1", folder, PYTHONPROFILEIMPORTTIME="1").start("jobs")
    await printed(process, " msgspec\n")  # others are still to be imported
    process.send_signal(signal.SIGINT)
    stopped = await ended(process)

    assert stopped.status == 128 + signal.SIGINT
    assert "Traceback" not in stopped.errors
