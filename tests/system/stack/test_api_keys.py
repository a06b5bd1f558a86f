"""`make api-key`, `make revoke-key` and `make redrive` with a stack that requires keys."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp
import pytest

from tests.support.stack.launched import TIMEOUT_S, Launched

pytestmark = pytest.mark.process


async def command(stack: Launched, name: str, **choices: str) -> tuple[int | None, str, str]:
    """Run a command. Return its exit status, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.local", name),
        env={**os.environ, "DATA_DIR": str(stack.data_dir.root), **choices},
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    return process.returncode, output.decode().strip(), errors.decode().strip()


async def status(stack: Launched, key: str, path: str = "/v1/jobs") -> int:
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as client, client.get(stack.url + path) as answer:
        return answer.status


async def test_keys_of_a_running_stack(tmp_path: Path) -> None:
    stack = Launched(tmp_path / "data", environ={"HEADRACE_AUTH": "required"})
    async with stack.ready():
        created, key, facts = await command(
            stack, "api-key", TENANT="acme", SCOPES="read,submit,admin", EXPIRES_DAYS="30"
        )
        assert created == 0, facts
        assert "acme" in facts
        assert await status(stack, key) == 200
        assert await status(stack, "hr_") == 401

        assert (await command(stack, "redrive", JOB="all"))[0] == 1
        assert await command(stack, "redrive", JOB="all", API_KEY=key) == (0, "redriven: 0 dead letters", "")

        revoked, message, _ = await command(stack, "revoke-key", KEY=key)
        assert revoked == 0
        assert "acme" in message
        async with asyncio.timeout(TIMEOUT_S):
            while await status(stack, key) != 401:  # noqa: ASYNC110 - the ingest reads its keys again after a while
                await asyncio.sleep(0.05)


async def test_missing_options_are_named(tmp_path: Path) -> None:
    stack = Launched(tmp_path / "data")
    for name, choices, message in (
        ("api-key", {"TENANT": "acme"}, "SCOPES="),
        ("revoke-key", {}, "KEY="),
        ("api-key", {"TENANT": "acme", "SCOPES": "read"}, "No stack runs"),
    ):
        exit_status, output, errors = await command(stack, name, **choices)
        assert (exit_status, output) == (1, "")
        assert message in errors
