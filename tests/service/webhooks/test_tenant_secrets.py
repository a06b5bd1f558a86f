"""A webhook is signed with its tenant's secrets, so no tenant can sign what another verifies."""

import base64

import asyncpg
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from shared.secret import Secret
from tests.service.webhooks.conftest import SECRET, Attempt, ClaimDelivery, delivered
from tests.support.webhooks.endpoint import Endpoint, Received, answering, status

SERVICE = f"whsec_{base64.b64encode(b's' * 32).decode()}"
NEW = f"whsec_{base64.b64encode(b'n' * 32).decode()}"


async def sent(
    database: asyncpg.Pool, claim_delivery: ClaimDelivery, attempt: Attempt, tenant: str, secret: str | None = None
) -> Received:
    """Deliver the event of a job of a tenant."""
    async with Endpoint(answering(status(204))).listening() as endpoint:
        task = await claim_delivery(endpoint.url, secret=secret)
        await database.execute("UPDATE jobs SET tenant = $2 WHERE id = $1", task.job_id, tenant)
        delivered(await attempt(task, webhook_secret=Secret(SERVICE)))
    return endpoint.received[0]


def is_signed_with(secret: str, request: Received) -> bool:
    try:
        Webhook(secret).verify(request.body, request.headers)
    except WebhookVerificationError:
        return False
    return True


async def secret_of(database: asyncpg.Pool, tenant: str) -> str:
    await database.execute("INSERT INTO tenants (name) VALUES ($1) ON CONFLICT DO NOTHING", tenant)
    found: str = await database.fetchval(
        "SELECT secret FROM webhook_secrets WHERE tenant = $1 AND expires_at IS NULL", tenant
    )
    return found


async def test_a_tenant_cannot_sign_for_another(
    database: asyncpg.Pool, claim_delivery: ClaimDelivery, attempt: Attempt
) -> None:
    acme, globex = await secret_of(database, "acme"), await secret_of(database, "globex")
    request = await sent(database, claim_delivery, attempt, "acme")
    assert is_signed_with(acme, request)
    assert not is_signed_with(globex, request)
    assert not is_signed_with(SERVICE, request)


async def test_without_tenants_the_services_secret_signs(
    database: asyncpg.Pool, claim_delivery: ClaimDelivery, attempt: Attempt
) -> None:
    assert is_signed_with(SERVICE, await sent(database, claim_delivery, attempt, "default"))


async def test_the_jobs_own_secret_alone_signs(
    database: asyncpg.Pool, claim_delivery: ClaimDelivery, attempt: Attempt
) -> None:
    acme = await secret_of(database, "acme")
    request = await sent(database, claim_delivery, attempt, "acme", SECRET)
    assert (is_signed_with(SECRET, request), is_signed_with(acme, request)) == (True, False)


@pytest.mark.parametrize("is_over", [False, True])
async def test_both_secrets_sign_until_the_previous_one_ends(
    database: asyncpg.Pool, claim_delivery: ClaimDelivery, attempt: Attempt, *, is_over: bool
) -> None:
    old = await secret_of(database, "acme")
    ends = "now()" if is_over else "now() + interval '1 hour'"
    await database.execute(f"UPDATE webhook_secrets SET expires_at = {ends} WHERE tenant = 'acme'")  # noqa: S608 - constants
    await database.execute("INSERT INTO webhook_secrets (tenant, secret) VALUES ('acme', $1)", NEW)
    request = await sent(database, claim_delivery, attempt, "acme")
    assert is_signed_with(NEW, request)
    assert is_signed_with(old, request) is not is_over
    assert not is_signed_with(SERVICE, request)


@pytest.mark.parametrize("rotated", [False, True])
async def test_a_tenant_of_before_keeps_the_services_secret_until_its_first_rotation(
    database: asyncpg.Pool, claim_delivery: ClaimDelivery, attempt: Attempt, *, rotated: bool
) -> None:
    await secret_of(database, "acme")
    await database.execute("DELETE FROM webhook_secrets")
    if rotated:  # as `rotate_secret` does
        await database.execute(
            "INSERT INTO webhook_secrets (tenant, secret, expires_at) "
            "VALUES ('acme', $1, NULL), ('acme', NULL, now() + interval '1 hour')",
            NEW,
        )
    request = await sent(database, claim_delivery, attempt, "acme")
    assert is_signed_with(SERVICE, request)
    assert is_signed_with(NEW, request) is rotated
