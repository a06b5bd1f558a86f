"""`api-key` and `revoke-key`: make and revoke keys of the running stack, as `python -m ingest_service.auth` does."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence

from deploy.local.data_dir import DataDir, read_stack_env
from deploy.local.errors import LocalStackError
from deploy.local.settings import Choices
from deploy.local.terminal import say


async def create_api_key(choices: Choices) -> None:
    """Print a new key; raises LocalStackError."""
    wanted = choices.key
    if not (wanted.tenant and wanted.scopes):
        raise LocalStackError("Say whose and what for: make api-key TENANT=<name> SCOPES=submit,read,admin.")
    options = {
        "tenant": wanted.tenant,
        "scopes": wanted.scopes,
        "purpose": wanted.purpose,
        "expires-days": wanted.expires_days,
    }
    key, facts = await _run(choices, ["create", *(f"--{name}={value}" for name, value in options.items() if value)])
    print(facts, file=sys.stderr, flush=True)  # beside the key, which a script may want alone
    say(key)


async def revoke_api_key(choices: Choices) -> None:
    """Revoke a key; raises LocalStackError."""
    if not choices.key.key:
        raise LocalStackError("Say which key: make revoke-key KEY=<key id>.")
    _, said = await _run(choices, ["revoke", "--", choices.key.key])
    say(said)


async def _run(choices: Choices, arguments: Sequence[str]) -> tuple[str, str]:
    """What it wrote to its two outputs."""
    settings = read_stack_env(DataDir(choices.data_dir).stack_env)
    command = (sys.executable, "-m", "ingest_service.auth", *arguments)
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **settings}, stdout=PIPE, stderr=PIPE)
    printed, said = (text.decode().strip() for text in await process.communicate())
    if process.returncode != 0:
        raise LocalStackError(said.splitlines()[-1] if said else "The key could not be changed.")
    return printed, said
