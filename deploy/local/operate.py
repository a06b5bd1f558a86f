"""`limits`: sets what a tenant of the running stack may use, and prints it. Ingest processes obey within 5 s."""

import json
from collections.abc import Mapping
from dataclasses import asdict

import asyncpg

from deploy.local.data_dir import DataDir, read_stack_env
from deploy.local.errors import LocalStackError
from deploy.local.settings import Choices, QuotaChoices
from deploy.local.terminal import say
from shared.connections.tenancy import begin

DEFAULT = "default"
LARGEST = {"jobs_queued": (1 << 31) - 1, "uploads_at_once": (1 << 31) - 1}  # what a column holds; others 64 bits

# Of each quota ($2 to $9): whether it changes, and its new value; null is the settings' own.
SET_QUOTAS = """
    INSERT INTO tenant_quotas AS old (tenant, bytes_a_day, audio_seconds_a_day, jobs_queued, uploads_at_once)
    VALUES ($1, $3, $5, $7, $9)
    ON CONFLICT (tenant) DO UPDATE SET
        bytes_a_day = CASE WHEN $2 THEN excluded.bytes_a_day ELSE old.bytes_a_day END,
        audio_seconds_a_day = CASE WHEN $4 THEN excluded.audio_seconds_a_day ELSE old.audio_seconds_a_day END,
        jobs_queued = CASE WHEN $6 THEN excluded.jobs_queued ELSE old.jobs_queued END,
        uploads_at_once = CASE WHEN $8 THEN excluded.uploads_at_once ELSE old.uploads_at_once END
    RETURNING bytes_a_day, audio_seconds_a_day, jobs_queued, uploads_at_once
"""


async def set_limits(choices: Choices) -> None:
    """Set what was chosen and print all of the tenant's quotas; raises LocalStackError."""
    tenant = choices.key.tenant
    if not tenant:
        raise LocalStackError(
            "Say whose: make limits TENANT=<name>, and what it may use: BYTES_A_DAY=1000000 and so on."
        )
    arguments = [part for change in changes_of(choices.quotas).values() for part in change]
    settings = read_stack_env(DataDir(choices.data_dir).stack_env)
    row = await _set(settings["HEADRACE_DATABASE_URL"], tenant, arguments)
    say(json.dumps({"tenant": tenant, **{name: DEFAULT if value is None else value for name, value in row.items()}}))


def changes_of(chosen: QuotaChoices) -> Mapping[str, tuple[bool, int | None]]:
    """Of each quota whether it changes, and its new value; raises LocalStackError."""
    return {name: _change(name, text) for name, text in asdict(chosen).items()}


def _change(name: str, text: str) -> tuple[bool, int | None]:
    if text in {"", DEFAULT}:
        return text == DEFAULT, None
    largest = LARGEST.get(name, (1 << 63) - 1)
    if not (text.isascii() and text.isdigit() and int(text) <= largest):
        raise LocalStackError(f"{name.upper()} must be a whole number, 0 for no limit, or `{DEFAULT}`; not {text!r}.")
    return True, int(text)


async def _set(database_url: str, tenant: str, arguments: list[bool | int | None]) -> Mapping[str, int | None]:
    try:
        connection = await asyncpg.connect(database_url, statement_cache_size=0)  # a pooler may stand before it
        try:
            await connection.execute(begin(tenant))
            row: Mapping[str, int | None] = await connection.fetchrow(SET_QUOTAS, tenant, *arguments)
            await connection.execute("COMMIT")
            return row
        finally:
            await connection.close()
    except (ValueError, asyncpg.ForeignKeyViolationError) as error:
        raise LocalStackError(f"There is no tenant {tenant!r}: its first API key makes it.") from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise LocalStackError(f"PostgreSQL does not answer: {error}") from error
