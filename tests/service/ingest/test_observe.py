"""The scope `observe` sees what an admin sees, and changes nothing; with the operator's flag, of all tenants."""

from typing import Any

import pytest

from ingest_service.auth.caller import Scope
from ingest_service.settings import IngestSettings
from shared.schemas.failures import FailureCode
from tests.service.ingest.test_keyless_browsers import requests_of
from tests.service.ingest.test_tenants import NEEDED
from tests.support.ingest import records
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key, status_of
from tests.support.ingest.browser import asked, sign_in
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

SAFE = {"GET", "HEAD", "OPTIONS"}


def test_each_get_that_an_admin_may_use_is_for_observers() -> None:
    assert [path for (method, path), needed in NEEDED.items() if method in SAFE and needed is Scope.ADMIN] == []
    assert {path for (_, path), needed in NEEDED.items() if needed is Scope.OBSERVE} >= {"/v1/keys", "/metrics"}


@pytest.mark.parametrize("operates", [False, True])
async def test_an_observer_sees_and_changes_nothing(settings: IngestSettings, *, operates: bool) -> None:
    key = (await new_key(settings, "acme", Scope.OBSERVE, operates=operates)).key
    async with guarded(settings) as ingest:
        for path in ("/v1/keys", "/metrics", "/v1/dead-letters", "/v1/session", "/v1/queue", "/v1/queue/history"):
            assert await status_of(ingest, key, path) == 200, path
        assert await status_of(ingest, key, "/v1/jobs") == 403  # that is `read`
        for method, path in requests_of(settings):
            if method not in SAFE and not path.startswith(("/docs", "/v1/session")):
                tus = {"Tus-Resumable": "1.0.0"}
                assert await asked(ingest, method, path, bearer(key) | tus) == (403, "forbidden"), (method, path)


async def test_an_admin_sees_what_observers_see(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme", Scope.ADMIN)).key
    async with guarded(settings) as ingest:
        for path in ("/v1/keys", "/metrics", "/v1/dead-letters"):
            assert await status_of(ingest, key, path) == 200, path


async def with_dead_letters(ingest: Ingest, settings: IngestSettings) -> list[str]:
    ids = []
    for tenant in ("acme", "globex"):
        key = (await new_key(settings, tenant)).key
        _, job = await ingest.post(wav(), headers=WAV_TYPE | bearer(key))
        await records.fail(ingest, job["job_id"], FailureCode.POISON)
        ids.append(job["job_id"])
    return ids


async def listed(ingest: Ingest, headers: dict[str, str]) -> tuple[int, list[Any]]:
    status, page = await ingest.get("/v1/dead-letters?tenant=*", headers=headers)
    return status, [letter["tenant"] for letter in page.get("dead_letters", ())]


async def test_an_observing_operator_sees_all_tenants_and_changes_none(settings: IngestSettings) -> None:
    key = (await new_key(settings, "operations", Scope.OBSERVE, operates=True)).key
    async with guarded(settings) as ingest:
        job, _ = await with_dead_letters(ingest, settings)
        session = await sign_in(ingest, key)
        for headers in (bearer(key), session.page(ingest)):
            assert await listed(ingest, headers) == (200, ["acme", "globex"])
            for method, path in (
                ("POST", f"/v1/dead-letters/{job}/redrive?tenant=*"),
                ("POST", "/v1/dead-letters/redrive?tenant=*"),
                ("DELETE", f"/v1/dead-letters/{job}?tenant=*"),
            ):
                assert await asked(ingest, method, path, headers) == (403, "forbidden"), path
        assert {row["status"] for row in await ingest.sql("SELECT status FROM jobs")} == {"FAILED"}
        async with ingest.client.get(ingest.url + "/metrics", headers=session.cookie) as answer:
            assert "headrace_ingest_uploads_accepted_total" in await answer.text()


async def test_an_observer_that_is_no_operator_sees_its_tenant_only(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme", Scope.OBSERVE, purpose="eyes")).key
    async with guarded(settings) as ingest:
        await with_dead_letters(ingest, settings)
        assert (await listed(ingest, bearer(key)))[0] == 403
        _, page = await ingest.get("/v1/dead-letters", headers=bearer(key))
        assert [letter["tenant"] for letter in page["dead_letters"]] == ["acme"]
        assert page["dead_letters"][0]["traceback"] == ""


@pytest.mark.parametrize("scopes", [(), (Scope.SUBMIT,), (Scope.OBSERVE, Scope.ADMIN)], ids=str)
async def test_other_operators_may_act(settings: IngestSettings, scopes: tuple[Scope, ...]) -> None:
    made = await new_key(settings, "operations", *(scopes or (Scope.READ,)), operates=True)
    async with guarded(settings) as ingest:
        if not scopes:
            await ingest.sql("UPDATE api_keys SET scopes = '{}' WHERE id = $1", made.key_id)
        job, _ = await with_dead_letters(ingest, settings)
        path = f"/v1/dead-letters/{job}/redrive?tenant=*"
        assert (await asked(ingest, "POST", path, bearer(made.key)))[0] == 202


async def test_a_scope_of_a_newer_version_does_not_break_other_keys(settings: IngestSettings) -> None:
    made, other = await new_key(settings, "acme", purpose="a"), await new_key(settings, "acme", purpose="b")
    async with guarded(settings) as ingest:
        await ingest.sql("ALTER TABLE api_keys DROP CONSTRAINT api_keys_scopes_check")
        await ingest.sql("UPDATE api_keys SET scopes = ARRAY['read', 'fly'] WHERE id = $1", made.key_id)
        assert await status_of(ingest, made.key) == await status_of(ingest, other.key) == 200
        assert await status_of(ingest, made.key, "/v1/keys") == 403
