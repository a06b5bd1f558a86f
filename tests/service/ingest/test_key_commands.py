"""The operator's commands: `python -m ingest_service.auth` creates tenants and keys, and revokes keys."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from typing import NamedTuple

import pytest

from ingest_service.settings import IngestSettings
from tests.support.ingest.api_keys import guarded, status_of
from tests.support.ingest.serving import Ingest, until

pytestmark = pytest.mark.process


class Said(NamedTuple):
    status: int | None
    output: str
    errors: str


async def command(database_url: str, *arguments: str) -> Said:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ingest_service.auth", *arguments),
        env={**os.environ, "HEADRACE_DATABASE_URL": database_url},
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await process.communicate()
    return Said(process.returncode, output.decode().strip(), errors.decode().strip())


async def test_a_key_is_created_with_its_tenant_used_and_revoked(settings: IngestSettings) -> None:
    async with guarded(settings) as ingest:
        made = await command(
            settings.database_url.reveal(), "create", "--tenant=acme", "--scopes=read, submit", "--expires-days=9"
        )
        assert made.status == 0, made
        assert made.output.startswith("hr_")  # the key alone
        assert made.output not in made.errors
        assert "acme" in made.errors
        assert await status_of(ingest, made.output) == 200
        assert await status_of(ingest, made.output, "/v1/dead-letters") == 403

        revoked = await command(settings.database_url.reveal(), "revoke", made.output)
        assert revoked.status == 0, revoked
        assert made.output not in revoked.errors + revoked.output

        async def is_refused() -> bool:
            return await status_of(ingest, made.output) == 401

        await until(is_refused)


@pytest.mark.parametrize(("scopes", "stored"), [("operate", []), ("admin,operate", ["admin"])])
async def test_a_key_of_the_operator(settings: IngestSettings, scopes: str, stored: list[str]) -> None:
    async with guarded(settings) as ingest:
        made = await command(settings.database_url.reveal(), "create", "--tenant=operations", f"--scopes={scopes}")
        assert made.status == 0, made
        assert scopes.replace(",", ", ") in made.errors
        assert [tuple(row) for row in await ingest.sql("SELECT scopes, operates FROM api_keys")] == [(stored, True)]
        assert await status_of(ingest, made.output, "/v1/dead-letters?tenant=*") == 200
        assert await status_of(ingest, made.output, "/v1/keys") == (200 if stored else 403)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "--tenant=Acme Corp", "--scopes=read"), "tenant"),
        (("create", "--tenant=acme", "--scopes=write"), "`submit`, `read`, `observe` or `admin`"),
        (("create", "--tenant=acme", "--scopes="), "scopes"),
        (("create", "--tenant=acme", "--scopes=operates"), "scopes"),
        (("create", "--tenant=acme", "--scopes=operate,write"), "scopes"),
        (("create", "--tenant=acme", "--scopes=read", "--expires-days=soon"), "expires_days"),
        (("create", "--tenant=acme", "--scopes=read", "--purpose=two words"), "purpose"),
        (("revoke", "0123456789abcdef"), "not found"),
        (("revoke", "nonsense"), "not found"),
    ],
)
async def test_an_invalid_command_prints_one_line(ingest: Ingest, arguments: tuple[str, ...], said: str) -> None:
    result = await command(ingest.settings.database_url.reveal(), *arguments)
    assert (result.status, result.output) == (1, "")
    assert said in result.errors
    assert len(result.errors.splitlines()) == 1
    assert await ingest.sql("SELECT 1 FROM api_keys") == []


async def test_an_unreachable_database_prints_one_line_without_its_password() -> None:
    result = await command("postgresql://headrace:hidden@127.0.0.1:1/headrace", "create", "--tenant=a", "--scopes=read")
    assert result.status == 1
    assert "cannot connect" in result.errors
    assert "hidden" not in result.errors
