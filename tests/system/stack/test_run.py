"""`make run` as a process: start, data, restarts, clean stop."""

import asyncio
import os
import signal
import stat
from asyncio.subprocess import Process
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from tests.support.stack.launched import TIMEOUT_S, Launched, alive, descendants, line_with, stopped, until

pytestmark = pytest.mark.process

SUPERVISED = {"HEADRACE_INGEST_PROCESSES": "2"}  # as on a machine of several cores: the ingest has child processes, too


async def health(url: str) -> int:
    async with aiohttp.ClientSession() as client, client.get(f"{url}/health/live") as response:
        return response.status


async def until_healthy(url: str) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            try:
                assert await health(url) == 200
            except aiohttp.ClientError:
                await asyncio.sleep(0.02)
            else:
                return


async def fetchval(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_serves_and_writes_pid_files(tmp_path: Path) -> None:
    stack = Launched(tmp_path / "data", environ=SUPERVISED)
    async with stack.ready() as launcher:
        assert await health(stack.url) == 200
        pids = stack.pids()
        assert set(pids) == {"postgres", "valkey", "ingest"}
        assert alive(set(pids.values())) == set(pids.values())
        assert stat.S_IMODE(stack.data_dir.stack_env.stat().st_mode) == 0o600
        assert stack.settings()["HEADRACE_AUTH"] == "none"
        assert stack.settings()["HEADRACE_WEBHOOK_SECRET"].startswith("whsec_")
        await stops(stack, launcher, signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
async def test_a_signal_stops_everything(tmp_path: Path, number: signal.Signals) -> None:
    stack = Launched(tmp_path / "data", environ=SUPERVISED)
    async with stack.ready() as launcher:
        await stops(stack, launcher, number)


async def stops(stack: Launched, launcher: Process, number: signal.Signals) -> None:
    pids = descendants(launcher.pid)
    assert len(pids) > 3  # PostgreSQL has child processes
    assert await stopped(launcher, number) == 0
    assert not alive(pids)
    assert not list(stack.data_dir.run.iterdir())


async def test_a_signal_during_the_start_stops_everything(tmp_path: Path) -> None:
    stack = Launched(tmp_path / "data", environ=SUPERVISED)
    launcher = await stack.start()
    await line_with(launcher, "starting valkey")
    pids = descendants(launcher.pid)
    assert await stopped(launcher) == 0
    assert not alive(pids)


async def test_no_process_outlives_a_killed_launcher(tmp_path: Path) -> None:
    stack = Launched(tmp_path / "data", environ=SUPERVISED)
    async with stack.ready() as launcher:
        pids = descendants(launcher.pid)
        launcher.kill()
        await until(lambda: not alive(pids))
    async with stack.ready():
        assert await health(stack.url) == 200


async def test_data_survive_a_restart(tmp_path: Path) -> None:
    stack = Launched(tmp_path / "data")
    async with stack.ready() as launcher:
        before = stack.settings()
        await fetchval(before["HEADRACE_DATABASE_URL"], "CREATE TABLE kept AS SELECT 42 AS answer")
        assert await stopped(launcher) == 0
    async with stack.ready():
        after = stack.settings()
        assert await fetchval(after["HEADRACE_DATABASE_URL"], "SELECT answer FROM kept") == 42
        assert after["HEADRACE_WEBHOOK_SECRET"] == before["HEADRACE_WEBHOOK_SECRET"]


async def test_a_dead_process_is_restarted(tmp_path: Path) -> None:
    stack = Launched(tmp_path / "data", environ=SUPERVISED)
    async with stack.ready() as launcher:
        for name in ("ingest", "postgres", "valkey"):
            await restarts(stack, launcher, name)
        await stops(stack, launcher, signal.SIGTERM)


async def restarts(stack: Launched, launcher: Process, name: str) -> None:
    first = stack.pids()[name]
    os.kill(first, signal.SIGKILL)
    assert "restarting it" in await line_with(launcher, f"{name} ended")
    await until(lambda: stack.pids().get(name, first) != first)
    await until_healthy(stack.url)


async def test_two_stacks_side_by_side(tmp_path: Path) -> None:
    one, other = Launched(tmp_path / "one stack"), Launched(tmp_path / "another stack")
    async with one.ready(), other.ready():
        assert await health(one.url) == await health(other.url) == 200
        assert one.settings()["HEADRACE_DATABASE_URL"] != other.settings()["HEADRACE_DATABASE_URL"]


async def test_stops_although_nobody_reads_its_output_any_more(tmp_path: Path) -> None:
    stack = Launched(tmp_path / "data", environ=SUPERVISED)
    async with stack.ready() as launcher:
        family = {launcher.pid, *descendants(launcher.pid)}
        transport = launcher._transport  # type: ignore[attr-defined] # asyncio shows its pipes nowhere else
        for number in (1, 2):
            transport.get_pipe_transport(number).close()

        launcher.terminate()
        await asyncio.wait_for(launcher.wait(), 30)

        assert alive(family) == set()
