"""Operate the running stack: API keys, dead letters, redrive, quotas.

`limits` sets and prints a tenant's quotas; ingest processes apply them within 5 s.
"""

import asyncio
import json
import os
import sys
from argparse import Namespace
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict

import asyncpg
import msgspec

from deploy.command import operate as command
from deploy.command.api import opened_api
from deploy.command.errors import CommandError
from deploy.command.retries import ONCE
from deploy.local.data_dir import DataDir, read_stack_env
from deploy.local.settings import Choices, QuotaChoices, base_url
from deploy.local.terminal import LocalStackError, say, warn
from shared.allowed_values import allowed
from shared.connections.redis import FAILED, Redis
from shared.connections.redis_shards import ask_each, open_redis_shards
from shared.connections.tenancy import begin
from shared.schemas.failures import DEAD_LETTER_LIST
from shared.schemas.options import QueueName
from shared.secret import Secret


async def create_api_key(choices: Choices) -> None:
    """`api-key`: create a key and print it. Raise LocalStackError."""
    wanted = choices.key
    if not (wanted.tenant and wanted.scopes):
        raise LocalStackError("Name the tenant and the scopes: make api-key TENANT=<name> SCOPES=submit,read,admin.")
    options = {
        "tenant": wanted.tenant,
        "scopes": wanted.scopes,
        "purpose": wanted.purpose,
        "expires-days": wanted.expires_days,
    }
    key, facts = await _run_auth(
        choices, ["create", *(f"--{name}={value}" for name, value in options.items() if value)]
    )
    print(facts, file=sys.stderr, flush=True)  # standard output holds the key alone, for scripts
    say(key)


async def revoke_api_key(choices: Choices) -> None:
    """`revoke-key`: revoke a key. Raise LocalStackError."""
    if not choices.key.key:
        raise LocalStackError("Name the key: make revoke-key KEY=<key id>.")
    _, message = await _run_auth(choices, ["revoke", "--", choices.key.key])
    say(message)


async def _run_auth(choices: Choices, arguments: Sequence[str]) -> tuple[str, str]:
    """Run `python -m ingest_service.auth`. Return its standard output and standard error."""
    settings = read_stack_env(DataDir(choices.data_dir).stack_env)
    command = (sys.executable, "-m", "ingest_service.auth", *arguments)
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **settings}, stdout=PIPE, stderr=PIPE)
    printed, messages = (text.decode().strip() for text in await process.communicate())
    if process.returncode != 0:
        raise LocalStackError(messages.splitlines()[-1] if messages else "Cannot change the key.")
    return printed, messages


READ_LIST_S = 10.0


async def print_dead_letters(choices: Choices) -> None:
    """`dead-letters`: print the dead letters of the stack, oldest first, one JSON object a line."""
    settings = read_stack_env(DataDir(choices.data_dir).stack_env)
    try:
        async with open_redis_shards(settings["HEADRACE_REDIS_URL"]) as shards:
            answers = await ask_each(shards, _read_dead_letters, within_s=READ_LIST_S)
        lists = answers.require_one().values()
    except FAILED as error:
        raise LocalStackError(f"Redis does not answer: {error}") from error
    for entry in max(lists, key=len):  # each has all; one that was just emptied is written again within seconds
        say(entry.decode())


async def _read_dead_letters(redis: Redis) -> list[bytes]:
    entries: list[bytes] = await redis.lrange(DEAD_LETTER_LIST, 0, -1)  # type: ignore[misc] # redis-py's types mix both clients
    return entries


ALL = "all"


async def redrive(choices: Choices) -> None:
    """`redrive`: redrive JOB=<id>, JOB=all, or all jobs with one CODE: `headrace redrive`. Raise LocalStackError."""
    wanted = _wanted(choices.job, choices.code)
    settings = read_stack_env(DataDir(choices.data_dir).stack_env)
    key = Secret(choices.api_key)
    try:
        async with opened_api(base_url(settings), key, retries=ONCE, note=warn) as api:
            await command.redrive(api, wanted)
    except CommandError as error:
        raise LocalStackError(f"Not redriven: {error}") from error


def _wanted(job: str, code: str) -> Namespace:
    if job and job != ALL and code:
        raise LocalStackError("Give JOB=<id> or CODE=<failure code>, not both.")
    if not (job or code):
        raise LocalStackError("Choose what to redrive: make redrive JOB=<id>, JOB=all, or CODE=<failure code>.")
    return Namespace(job=[job] if job not in {"", ALL} else [], code=code or None, tenant=None, json=False)


DEFAULT = "default"
LARGEST = {"jobs_queued": (1 << 31) - 1, "uploads_at_once": (1 << 31) - 1}  # 32-bit columns; the others are 64-bit

# $2 to $11: for each limit, whether it changes, and the new value. Null means the default of the settings.
SET_QUOTAS = """
    INSERT INTO tenant_quotas AS old (tenant, bytes_a_day, audio_seconds_a_day, jobs_queued, uploads_at_once, queue)
    VALUES ($1, $3, $5, $7, $9, $11)
    ON CONFLICT (tenant) DO UPDATE SET
        bytes_a_day = CASE WHEN $2 THEN excluded.bytes_a_day ELSE old.bytes_a_day END,
        audio_seconds_a_day = CASE WHEN $4 THEN excluded.audio_seconds_a_day ELSE old.audio_seconds_a_day END,
        jobs_queued = CASE WHEN $6 THEN excluded.jobs_queued ELSE old.jobs_queued END,
        uploads_at_once = CASE WHEN $8 THEN excluded.uploads_at_once ELSE old.uploads_at_once END,
        queue = CASE WHEN $10 THEN excluded.queue ELSE old.queue END
    RETURNING bytes_a_day, audio_seconds_a_day, jobs_queued, uploads_at_once, queue
"""


async def set_limits(choices: Choices) -> None:
    """`limits`: set the given quotas of a tenant and print all of them. Raise LocalStackError."""
    tenant = choices.key.tenant
    if not tenant:
        raise LocalStackError(
            "Name the tenant and its quotas: make limits TENANT=<name> BYTES_A_DAY=1000000 and so on."
        )
    arguments = [part for change in changes_of(choices.quotas).values() for part in change]
    settings = read_stack_env(DataDir(choices.data_dir).stack_env)
    row = await _set(settings["HEADRACE_DATABASE_URL"], tenant, arguments)
    say(json.dumps({"tenant": tenant, **{name: DEFAULT if value is None else value for name, value in row.items()}}))


def changes_of(chosen: QuotaChoices) -> Mapping[str, tuple[bool, int | str | None]]:
    """Return for each limit whether it changes, and its new value. Raise LocalStackError."""
    return {name: _change(name, text) for name, text in asdict(chosen).items()}


def _change(name: str, text: str) -> tuple[bool, int | str | None]:
    if text in {"", DEFAULT}:
        return text == DEFAULT, None
    if name == "queue":
        return True, _queue_name(text)
    largest = LARGEST.get(name, (1 << 63) - 1)
    if not (text.isascii() and text.isdigit() and int(text) <= largest):
        raise LocalStackError(f"{name.upper()} must be a whole number, 0 (no limit), or `{DEFAULT}`; not {text!r}.")
    return True, int(text)


def _queue_name(text: str) -> str:
    try:
        return msgspec.convert(text, QueueName)
    except msgspec.ValidationError as error:
        raise LocalStackError(f"QUEUE must be {allowed(QueueName)}, or `{DEFAULT}`; not {text!r}.") from error


async def _set(
    database_url: str, tenant: str, arguments: list[bool | int | str | None]
) -> Mapping[str, int | str | None]:
    try:
        connection = await asyncpg.connect(
            database_url, statement_cache_size=0
        )  # the URL may be that of a connection pooler
        try:
            await connection.execute(begin(tenant))
            row: Mapping[str, int | str | None] = await connection.fetchrow(SET_QUOTAS, tenant, *arguments)
            await connection.execute("COMMIT")
            return row
        finally:
            await connection.close()
    except (ValueError, asyncpg.ForeignKeyViolationError) as error:
        raise LocalStackError(f"Unknown tenant {tenant!r}. Create an API key for it first.") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise LocalStackError(f"PostgreSQL does not answer: {error}") from error


COMMANDS: Mapping[str, Callable[[Choices], Awaitable[None]]] = {
    "dead-letters": print_dead_letters,
    "redrive": redrive,
    "limits": set_limits,
    "api-key": create_api_key,
    "revoke-key": revoke_api_key,
}
