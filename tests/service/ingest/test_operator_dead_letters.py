"""The operator's key lists, redrives and discards dead letters of all tenants. A tenant's admin cannot."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import asyncpg
import msgspec
import pytest
import pytest_asyncio

from ingest_service.auth.caller import Scope
from ingest_service.settings import IngestSettings
from shared.ids import new_id
from shared.schemas.failures import FailureCode
from shared.secret import Secret
from tests.support.ingest import records
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav
from tests.support.servers import as_owner

LETTERS = "/v1/dead-letters"


class Service(NamedTuple):
    """An ingest with a dead letter of each of three tenants, and the keys of their admins."""

    ingest: Ingest
    jobs: dict[str, str]
    admins: dict[str, dict[str, str]]
    operator: dict[str, str]

    async def ask(self, method: str, path: str, key: dict[str, str], **query: str) -> tuple[int, Any]:
        async with self.ingest.client.request(method, self.ingest.url + path, headers=key, params=query) as answer:
            return answer.status, msgspec.json.decode(await answer.read() or b"null")

    async def listed(self, key: dict[str, str], **query: str) -> set[str]:
        status, page = await self.ask("GET", LETTERS, key, **query)
        assert status == 200, page
        return {letter["tenant"] for letter in page["dead_letters"]}

    async def statuses(self) -> dict[str, str]:
        return {row["tenant"]: row["status"] for row in await self.ingest.sql("SELECT tenant, status FROM jobs")}


@pytest_asyncio.fixture(params=["superuser", "service role"])
async def service(request: pytest.FixtureRequest, settings: IngestSettings) -> AsyncIterator[Service]:
    """As a superuser, without row-level security, the queries alone must separate tenants; then with both."""
    keys = {tenant: await new_key(settings, tenant) for tenant in ("acme", "globex", "initech")}
    admins = {tenant: bearer(key.key) for tenant, key in keys.items()}
    operator = await new_key(settings, "operations", operates=True)
    await _leave_only_operate(settings, operator.key_id)
    url = settings.database_url.reveal()
    changes = {"database_url": Secret(as_owner(url) if request.param == "superuser" else url)}
    async with guarded(settings, **changes) as ingest:
        jobs = {}
        for tenant, key in admins.items():
            _, job = await ingest.post(wav(), headers=WAV_TYPE | key)
            jobs[tenant] = job["job_id"]
            await records.fail(ingest, job["job_id"], FailureCode.TIMEOUT if tenant == "acme" else FailureCode.POISON)
        yield Service(ingest, jobs, admins, bearer(operator.key))


async def _leave_only_operate(settings: IngestSettings, key_id: str) -> None:
    connection = await asyncpg.connect(as_owner(settings.database_url.reveal()))
    try:
        await connection.execute("UPDATE api_keys SET scopes = '{}' WHERE id = $1", key_id)
    finally:
        await connection.close()


async def test_the_operator_lists_one_tenant_or_all(service: Service) -> None:
    assert await service.listed(service.operator, tenant="*") == {"acme", "globex", "initech"}
    assert await service.listed(service.operator, tenant="globex") == {"globex"}
    assert await service.listed(service.operator, tenant="*", code="poison") == {"globex", "initech"}
    assert await service.listed(service.operator, tenant="nobody") == set()
    assert await service.listed(service.operator) == set()


async def test_pages_of_all_tenants(service: Service) -> None:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        _, page = await service.ask("GET", LETTERS, service.operator, tenant="*", limit="1", **cursor)
        seen += [letter["tenant"] for letter in page["dead_letters"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == ["acme", "globex", "initech"]


async def test_the_operator_redrives_a_job_of_a_tenant(service: Service) -> None:
    for tenant, named in (("acme", "*"), ("globex", "globex")):
        path = f"{LETTERS}/{service.jobs[tenant]}/redrive"
        assert (await service.ask("POST", path, service.operator, tenant=named))[0] == 202
    assert await service.statuses() == {"acme": "QUEUED", "globex": "QUEUED", "initech": "FAILED"}
    (task,) = await service.ingest.sql(
        "SELECT count(*) FROM tasks WHERE state = 'dispatched' AND generation = 2 AND job_id = $1", service.jobs["acme"]
    )
    assert task["count"] == 1


async def test_the_operator_redrives_all_of_a_code(service: Service) -> None:
    path = f"{LETTERS}/redrive"
    assert await service.ask("POST", path, service.operator, tenant="*", code="poison") == (200, {"redriven": 2})
    assert await service.statuses() == {"acme": "FAILED", "globex": "QUEUED", "initech": "QUEUED"}
    assert await service.ask("POST", path, service.operator, tenant="*") == (200, {"redriven": 1})


async def test_the_operator_discards(service: Service) -> None:
    path = f"{LETTERS}/{service.jobs['acme']}"
    assert (await service.ask("DELETE", path, service.operator, tenant="*"))[0] == 204
    assert await service.listed(service.operator, tenant="*") == {"globex", "initech"}


async def test_an_unknown_job_is_not_found(service: Service) -> None:
    for job_id in (new_id(), "nonsense"):
        status, problem = await service.ask("POST", f"{LETTERS}/{job_id}/redrive", service.operator, tenant="*")
        assert (status, problem["code"]) == (404, "not_found")
    path = f"{LETTERS}/{service.jobs['acme']}/redrive"
    assert (await service.ask("POST", path, service.operator, tenant="globex"))[0] == 404
    assert (await service.ask("POST", path, service.operator))[0] == 404


@pytest.mark.parametrize("named", ["*", "globex", "nobody"])
async def test_an_admin_of_a_tenant_cannot_name_another(service: Service, named: str) -> None:
    of_globex, admin = service.jobs["globex"], service.admins["acme"]
    for method, path in (
        ("GET", LETTERS),
        ("POST", f"{LETTERS}/redrive"),
        ("POST", f"{LETTERS}/{of_globex}/redrive"),
        ("DELETE", f"{LETTERS}/{of_globex}"),
    ):
        status, problem = await service.ask(method, path, admin, tenant=named)
        assert (status, problem["code"]) == (403, "forbidden")
        assert "operator's key" in problem["detail"]
    assert set((await service.statuses()).values()) == {"FAILED"}
    assert await service.listed(service.operator, tenant="*") == {"acme", "globex", "initech"}


async def test_an_admin_may_name_its_own_tenant(service: Service) -> None:
    assert await service.listed(service.admins["acme"], tenant="acme") == {"acme"}
    assert await service.listed(service.admins["acme"]) == {"acme"}


@pytest.mark.parametrize("named", ["", "**", "a,b", "*,acme", "ACME", "'", "a\n", "x" * 64])
async def test_an_invalid_tenant_is_refused(service: Service, named: str) -> None:
    for key in (service.operator, service.admins["acme"]):
        status, problem = await service.ask("GET", LETTERS, key, tenant=named)
        assert (status, problem["code"]) == (400, "invalid_parameter")
        assert "`tenant` must be the name of a tenant, or `*`" in problem["detail"]


async def test_the_operators_scope_alone_gives_nothing_else(service: Service) -> None:
    """It reads metrics, and no tenant's jobs, results or keys."""
    assert (await service.ingest.client.get(service.ingest.url + "/metrics", headers=service.operator)).status == 200
    of_acme = service.jobs["acme"]
    for method, path in (
        ("GET", "/v1/jobs"),
        ("GET", f"/v1/jobs/{of_acme}"),
        ("GET", f"/v1/jobs/{of_acme}/transcript"),
        ("GET", f"/v1/jobs/{of_acme}/audio"),
        ("POST", f"/v1/jobs/{of_acme}/cancel"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/webhooks/secret/rotate"),
        ("GET", "/v1/usage"),
    ):
        assert (await service.ask(method, path, service.operator))[0] == 403, path


async def test_a_key_of_a_tenant_without_admin_has_no_dead_letters(service: Service, settings: IngestSettings) -> None:
    key = await new_key(settings, "acme", Scope.READ, Scope.SUBMIT, purpose="reader")
    for query in ({}, {"tenant": "*"}, {"tenant": "acme"}):
        assert (await service.ask("GET", LETTERS, bearer(key.key), **query))[0] == 403
