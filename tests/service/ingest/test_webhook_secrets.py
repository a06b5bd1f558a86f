"""Each tenant has a webhook secret of its own: made with the tenant, shown once, rotated."""

import asyncio
from typing import Any

import asyncpg
import pytest

from deploy.migrate import migrate
from ingest_service.auth.webhook_secrets import MAX_VALID
from ingest_service.settings import IngestSettings
from shared.schemas.webhooks import is_webhook_secret
from tests.service.ingest.test_key_commands import command
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.serving import Ingest
from tests.support.roles import install_roles

PATH = "/v1/webhooks/secret/rotate"
OF = """
    SELECT secret, expires_at, expires_at - now() AS left FROM webhook_secrets WHERE tenant = $1
    ORDER BY expires_at DESC
"""


async def rotate(ingest: Ingest, key: str, **body: Any) -> tuple[int, dict[str, Any]]:
    return await ingest.post(None, PATH, json=body, headers=bearer(key))


async def test_every_new_tenant_has_a_secret_of_its_own(settings: IngestSettings) -> None:
    await new_key(settings, "acme")
    await new_key(settings, "globex")
    async with guarded(settings) as ingest:
        rows = await ingest.sql("SELECT tenant, secret, expires_at FROM webhook_secrets ORDER BY tenant")
    assert [row["tenant"] for row in rows] == ["acme", "globex"]  # not the tenant that is used without keys
    assert len({row["secret"] for row in rows}) == 2
    assert all(is_webhook_secret(row["secret"]) and row["expires_at"] is None for row in rows)


async def test_a_rotation_shows_the_new_secret_once_and_keeps_the_previous_one(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        ((first, *_),) = await ingest.sql(OF, "acme")
        status, made = await rotate(ingest, key, previous_valid_s=3600)
        assert (status, is_webhook_secret(made["secret"])) == (201, True)
        newest, previous = await ingest.sql(OF, "acme")
        assert (newest["secret"], newest["expires_at"]) == (made["secret"], None)
        assert previous["secret"] == first
        assert 3590 < previous["left"].total_seconds() <= 3600
        assert made["previous_valid_until"] is not None


async def test_a_leaked_secret_ends_at_once(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        await rotate(ingest, key)
        status, made = await rotate(ingest, key, previous_valid_s=0)
        assert (status, made["previous_valid_until"]) == (201, None)
        assert [row["secret"] for row in await ingest.sql(OF, "acme")] == [made["secret"]]


async def test_the_secrets_that_sign_are_bounded_and_ended_ones_are_deleted(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        answers = await asyncio.gather(*(rotate(ingest, key, previous_valid_s=60) for _ in range(8)))
        assert sorted(status for status, _ in answers) == [201] * (MAX_VALID - 1) + [409] * (9 - MAX_VALID)
        assert len(await ingest.sql(OF, "acme")) == MAX_VALID
        refused = next(answer for status, answer in answers if status == 409)
        assert refused["code"] == "too_many_secrets"
        await ingest.sql("UPDATE webhook_secrets SET expires_at = now() WHERE expires_at IS NOT NULL")
        assert (await rotate(ingest, key))[0] == 201
        assert len(await ingest.sql(OF, "acme")) == 2


async def test_a_tenant_of_before_keeps_the_services_secret_while_it_rotates_first(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        await ingest.sql("DELETE FROM webhook_secrets")
        _, made = await rotate(ingest, key)
        assert [row["secret"] for row in await ingest.sql(OF, "acme")] == [made["secret"], None]


async def test_a_rotation_changes_no_other_tenant_and_needs_an_admin(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    other = (await new_key(settings, "globex")).key
    async with guarded(settings) as ingest:
        before = await ingest.sql(OF, "globex")
        await rotate(ingest, key)
        assert [row["secret"] for row in await ingest.sql(OF, "globex")] == [row["secret"] for row in before]
        scopes = {"scopes": ["read", "submit"], "purpose": "app"}
        _, made = await ingest.post(None, "/v1/keys", json=scopes, headers=bearer(other))
        assert (await rotate(ingest, made["key"]))[0] == 403


@pytest.mark.parametrize("body", [{"previous_valid_s": -1}, {"previous_valid_s": 8 * 86_400}, {"secret": "whsec_x"}])
async def test_an_invalid_rotation_changes_nothing(settings: IngestSettings, body: dict[str, Any]) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        assert (await rotate(ingest, key, **body))[0] == 400
        assert len(await ingest.sql(OF, "acme")) == 1


@pytest.mark.process
async def test_the_command_shows_the_secret_of_a_new_tenant_and_rotates_it(settings: IngestSettings) -> None:
    url = settings.database_url.reveal()
    async with guarded(settings) as ingest:
        made = await command(url, "create", "--tenant=acme", "--scopes=read")
        ((secret, *_),) = await ingest.sql(OF, "acme")
        assert secret in made.errors
        assert "whsec_" not in (await command(url, "create", "--tenant=acme", "--scopes=read", "--purpose=b")).errors
        rotated = await command(url, "rotate-webhook-secret", "--tenant=acme")
        assert rotated.status == 0, rotated
        assert rotated.output not in rotated.errors
        assert [row["secret"] for row in await ingest.sql(OF, "acme")] == [rotated.output, secret]
        assert (await command(url, "rotate-webhook-secret", "--tenant=nobody")).status == 1
        assert (await command(url, "rotate-webhook-secret", "--tenant=acme", "--previous-valid-s=x")).status == 1


async def test_the_ingest_cannot_read_secrets_and_the_processor_cannot_write_them(empty_database_url: str) -> None:
    owner = await asyncpg.connect(empty_database_url)
    try:
        await install_roles(owner)
        await migrate(empty_database_url)
        may = "SELECT has_table_privilege($1, 'webhook_secrets', $2)"
        column = "SELECT has_column_privilege($1, 'webhook_secrets', 'secret', 'SELECT')"
        assert not await owner.fetchval(column, "headrace_ingest")
        assert await owner.fetchval(may, "headrace_ingest", "INSERT")
        assert await owner.fetchval(column, "headrace_processor")
        for change in ("INSERT", "UPDATE", "DELETE"):
            assert not await owner.fetchval(may, "headrace_processor", change)
    finally:
        await owner.close()
