"""`make api-key` and `make revoke-key`, against a stack that asks for keys; and `make redrive` by a key's leave."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import aiohttp
import pytest

from tests.stack.launched import PATIENCE_S, Launched

pytestmark = pytest.mark.process


async def command(stack: Launched, name: str, **choices: str) -> tuple[int | None, str, str]:
    """A target's exit status, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.local", name),
        env={**os.environ, "DATA_DIR": str(stack.data_dir.root), **choices},
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, output.decode().strip(), errors.decode().strip()


async def status(stack: Launched, key: str, path: str = "/v1/jobs") -> int:
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(headers=headers) as client, client.get(stack.url + path) as answer:
        return answer.status


async def test_keys_of_a_running_stack(tmp_path: Path) -> None:
    stack = Launched(tmp_path / "data", environ={"HEADRACE_AUTH": "required"})
    async with stack.ready():
        made, key, facts = await command(stack, "api-key", TENANT="acme", SCOPES="read,submit,admin", EXPIRES_DAYS="30")
        assert made == 0, facts
        assert "acme" in facts
        assert await status(stack, key) == 200
        assert await status(stack, "hr_") == 401

        assert (await command(stack, "redrive", JOB="all"))[0] == 1
        assert await command(stack, "redrive", JOB="all", API_KEY=key) == (0, "redriven: 0 dead letters", "")

        revoked, said, _ = await command(stack, "revoke-key", KEY=key)
        assert revoked == 0
        assert "acme" in said
        async with asyncio.timeout(PATIENCE_S):
            while await status(stack, key) != 401:
                pass


async def test_what_is_missing_is_said(tmp_path: Path) -> None:
    stack = Launched(tmp_path / "data")
    for name, choices, said in (
        ("api-key", {"TENANT": "acme"}, "SCOPES="),
        ("revoke-key", {}, "KEY="),
        ("api-key", {"TENANT": "acme", "SCOPES": "read"}, "No stack runs"),
    ):
        exit_status, output, errors = await command(stack, name, **choices)
        assert (exit_status, output) == (1, "")
        assert said in errors
