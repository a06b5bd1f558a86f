"""Every route requires its scope and shows only the tenant's own objects."""

import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from litestar import Litestar
from litestar.routes import HTTPRoute

from ingest_service.auth.caller import Scope
from ingest_service.console_files import PAGE_PATHS
from ingest_service.settings import IngestSettings
from shared.secret import Secret
from tests.support.ingest import records
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key
from tests.support.ingest.serving import Ingest, described_app
from tests.support.ingest.sounds import wav
from tests.support.servers import as_owner

SUBMIT, READ, OBSERVE, ADMIN = Scope.SUBMIT, Scope.READ, Scope.OBSERVE, Scope.ADMIN
READ_OR_OBSERVE = "read or observe"
TUS = {"Tus-Resumable": "1.0.0"}
JSON = {"Content-Type": "application/json"}

# The scope of each route. Add new routes here, and to the walk below if they name an object.
NEEDED = {
    ("POST", "/v1/jobs"): SUBMIT,
    ("POST", "/v1/jobs/remote"): SUBMIT,
    ("POST", "/api/upload-audio"): SUBMIT,
    ("POST", "/v1/audio/transcriptions"): SUBMIT,
    ("POST", "/v1/audio/translations"): SUBMIT,
    ("POST", "/openai/deployments/{deployment}/audio/transcriptions"): SUBMIT,
    ("POST", "/openai/deployments/{deployment}/audio/translations"): SUBMIT,
    ("GET", "/v1/models"): READ,
    ("GET", "/v1/models/{model}"): READ,
    ("POST", "/asr"): SUBMIT,
    ("POST", "/detect-language"): SUBMIT,
    ("GET", "/v1/jobs"): READ,
    ("GET", "/v1/jobs/counts"): READ,
    ("POST", "/v1/jobs/bulk"): READ,
    ("GET", "/v1/events"): READ,
    ("GET", "/v1/jobs/{job_id}"): READ,
    ("DELETE", "/v1/jobs/{job_id}"): SUBMIT,
    ("POST", "/v1/jobs/{job_id}/cancel"): SUBMIT,
    ("POST", "/v1/jobs/{job_id}/diarize"): SUBMIT,
    ("GET", "/v1/jobs/{job_id}/events"): READ,
    ("GET", "/v1/jobs/{job_id}/transcript"): READ,
    ("GET", "/v1/jobs/{job_id}/transcript/text"): READ,
    ("GET", "/v1/jobs/{job_id}/transcript/search"): READ,
    ("GET", "/v1/search"): READ,
    ("PUT", "/v1/jobs/{job_id}/transcript/edits"): SUBMIT,
    ("GET", "/v1/jobs/{job_id}/transcript/edits"): READ,
    ("GET", "/v1/jobs/{job_id}/transcript/edits/{version}"): READ,
    ("GET", "/v1/jobs/{job_id}/audio"): READ,
    ("HEAD", "/v1/jobs/{job_id}/audio"): READ,
    ("GET", "/v1/jobs/{job_id}/peaks"): READ,
    ("GET", "/v1/jobs/{job_id}/work"): READ,
    ("GET", "/v1/jobs/{job_id}/webhook-attempts"): READ,
    ("POST", "/v1/jobs/{job_id}/webhook"): SUBMIT,
    ("POST", "/v1/uploads"): SUBMIT,
    ("POST", "/v1/uploads/presigned"): SUBMIT,
    ("HEAD", "/v1/uploads/{upload_id}"): SUBMIT,
    ("PATCH", "/v1/uploads/{upload_id}"): SUBMIT,
    ("DELETE", "/v1/uploads/{upload_id}"): SUBMIT,
    ("GET", "/v1/dead-letters"): OBSERVE,
    ("GET", "/v1/dead-letters/counts"): OBSERVE,
    ("DELETE", "/v1/dead-letters"): ADMIN,
    ("POST", "/v1/dead-letters/redrive"): ADMIN,
    ("POST", "/v1/dead-letters/{job_id}/redrive"): ADMIN,
    ("DELETE", "/v1/dead-letters/{job_id}"): ADMIN,
    ("POST", "/v1/keys"): ADMIN,
    ("GET", "/v1/keys"): OBSERVE,
    ("DELETE", "/v1/keys/{key_id}"): ADMIN,
    ("GET", "/v1/usage"): READ,
    ("PUT", "/v1/vocabulary"): SUBMIT,
    ("GET", "/v1/vocabulary"): READ,
    ("DELETE", "/v1/vocabulary"): SUBMIT,
    ("GET", "/v1/queue"): READ_OR_OBSERVE,
    ("GET", "/v1/queue/history"): READ_OR_OBSERVE,
    ("GET", "/v1/alerts"): OBSERVE,
    ("POST", "/v1/webhooks/secret/rotate"): ADMIN,
    ("GET", "/v1/webhooks/attempts"): OBSERVE,
    ("POST", "/v1/webhooks/test"): ADMIN,
    ("GET", "/v1/webhooks/tests/{test_id}"): OBSERVE,
    ("POST", "/v1/voices"): SUBMIT,
    ("GET", "/v1/voices"): READ,
    ("GET", "/v1/voices/{voice_id}"): READ,
    ("DELETE", "/v1/voices/{voice_id}"): SUBMIT,
    ("POST", "/v1/webhooks/endpoints"): ADMIN,
    ("GET", "/v1/webhooks/endpoints"): OBSERVE,
    ("GET", "/v1/webhooks/endpoints/{endpoint_id}"): OBSERVE,
    ("PATCH", "/v1/webhooks/endpoints/{endpoint_id}"): ADMIN,
    ("DELETE", "/v1/webhooks/endpoints/{endpoint_id}"): ADMIN,
    ("POST", "/v1/webhooks/endpoints/{endpoint_id}/secret/rotate"): ADMIN,
    ("POST", "/v1/webhooks/endpoints/{endpoint_id}/test"): ADMIN,
    ("GET", "/metrics"): OBSERVE,
}
EDITS = b'{"base_version": 0, "speakers": {"SPEAKER_00": "Ann"}}'
ANY_SCOPE = {(method, "/v1/session") for method in ("POST", "GET", "DELETE")}
NO_OBJECTS = ("/v1/models/", "/openai/deployments/")  # their parameter is a model
CONSOLE = ("/console/{version}/{path}", *(path.replace(":str", "") for path in PAGE_PATHS))
OPEN = {("GET", path) for path in ("/health/live", "/health/ready", "/docs", "/docs/{name}", *CONSOLE)}
TABLES = (
    "jobs",
    "tasks",
    "uploads",
    "upload_parts",
    "webhook_events",
    "webhook_attempts",
    "transcript_edits",
    "webhook_tests",
    "voices",
    "webhook_endpoints",
    "webhook_endpoint_secrets",
    "idempotency_keys",
    "api_keys",
    "sessions",
    "vocabularies",
)


def all_routes(app: Litestar) -> set[tuple[str, str]]:
    routes = [route for route in app.routes if isinstance(route, HTTPRoute) and not route.path.startswith("/schema")]
    return {(str(method), route.path_format) for route in routes for method in route.methods if method != "OPTIONS"}


def test_every_route_is_listed_with_its_scope(settings: IngestSettings) -> None:
    assert all_routes(described_app(settings)) == NEEDED.keys() | ANY_SCOPE | OPEN


async def asked(ingest: Ingest, method: str, path: str, headers: dict[str, str], **options: Any) -> tuple[int, str]:
    """The status, and the answer's text."""
    async with ingest.client.request(method, ingest.url + path, headers=headers, **options) as answer:
        return answer.status, await answer.text(errors="replace")


async def test_every_route_requires_its_scope(settings: IngestSettings) -> None:
    without: dict[str, set[Scope]] = {scope: set(Scope) - {scope} for scope in Scope}
    without |= {OBSERVE: {SUBMIT, READ}, READ_OR_OBSERVE: {SUBMIT}}  # an admin observes, too
    keys: dict[str, str] = {
        scope: (await new_key(settings, "acme", *others, purpose="no-" + scope.replace(" ", "-"))).key
        for scope, others in without.items()
    }
    async with guarded(settings) as ingest:
        for (method, template), needed in NEEDED.items():
            path = re.sub(r"\{(job_id|upload_id|key_id|voice_id|version|endpoint_id)\}", "0", template)
            assert (await asked(ingest, method, path, {}))[0] == 401, (method, template)
            status, said = await asked(ingest, method, path, bearer(keys[needed]))
            assert status == 403, (method, template)
            assert method == "HEAD" or '"forbidden"' in said
        for method, template in ANY_SCOPE:
            assert (await asked(ingest, method, template, {}))[0] == 401, (method, template)


class OtherTenant(NamedTuple):
    """The objects of acme that globex must not see."""

    ingest: Ingest
    stranger: dict[str, str]
    owner: dict[str, str]
    jobs: tuple[str, str, str]  # failed, completed, queued
    upload: str
    key: str
    webhook_test: str
    voice: str
    webhook_endpoint: str

    async def everything(self) -> dict[str, list[str]]:
        return {
            table: sorted(row["row"] for row in await self.ingest.sql(f"SELECT {table}::text AS row FROM {table}"))  # noqa: S608 - constants
            for table in TABLES
        }


@pytest_asyncio.fixture(params=["superuser", "service role"])
async def other(request: pytest.FixtureRequest, settings: IngestSettings) -> AsyncIterator[OtherTenant]:
    """As a superuser, without row-level security, the queries alone must separate tenants; then with both."""
    owner, stranger = await new_key(settings, "acme"), await new_key(settings, "globex")
    url = settings.database_url.reveal()
    async with guarded(
        settings, voices=True, database_url=Secret(as_owner(url) if request.param == "superuser" else url)
    ) as ingest:
        ids = []
        for number in range(3):
            headers = WAV_TYPE | bearer(owner.key) | {"Idempotency-Key": f"number-{number}"}
            status, job = await ingest.post(wav(), params={"webhook_url": records.HOOK}, headers=headers)
            assert status == 202
            ids.append(job["job_id"])
        await records.fail(ingest, ids[0])
        await records.complete(ingest, ids[1])
        creating = TUS | bearer(owner.key) | {"Upload-Length": str(len(wav()))}
        async with ingest.client.post(ingest.url + "/v1/uploads", headers=creating) as answer:
            upload = answer.headers["Location"]
        _, tested = await ingest.post(
            b'{"url": "https://x.example/"}', "/v1/webhooks/test", headers=JSON | bearer(owner.key)
        )
        sample = b'{"name": "Ann", "job_id": "%s"}' % ids[1].encode()
        _, voice = await ingest.post(sample, "/v1/voices", headers=JSON | bearer(owner.key))
        _, endpoint = await ingest.post(
            b'{"url": "https://x.example/"}', "/v1/webhooks/endpoints", headers=JSON | bearer(owner.key)
        )
        jobs = ids[0], ids[1], ids[2]
        made = tested["test_id"], voice["voice_id"], endpoint["endpoint_id"]
        yield OtherTenant(ingest, bearer(stranger.key), bearer(owner.key), jobs, upload, owner.key_id, *made)


async def test_no_route_shows_objects_of_another_tenant(other: OtherTenant) -> None:
    """Each route that names an object, called by the wrong tenant and, to prove the test, by the right one."""
    before = await other.everything()
    part = TUS | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    walked = set()
    for method, template in NEEDED:
        names = {"{job_id}", "{upload_id}", "{key_id}", "{test_id}", "{voice_id}", "{endpoint_id}"} & set(
            template.split("/")
        )
        if not names:
            continue
        walked.add((method, template))
        for job_id in other.jobs:
            path = template.replace("{job_id}", job_id).replace("{key_id}", other.key).replace("{version}", "1")
            path = path.replace("{test_id}", other.webhook_test) + ("?q=hello" if template.endswith("/search") else "")
            path = path.replace("{voice_id}", other.voice).replace("{endpoint_id}", other.webhook_endpoint)
            path = other.upload if names == {"{upload_id}"} else path
            data = {"PATCH": wav(), "PUT": EDITS}.get(method)
            extra = {"PATCH": part, "PUT": JSON}.get(method, TUS)
            if names == {"{endpoint_id}"}:
                data, extra = b"{}", JSON
            status, said = await asked(other.ingest, method, path, other.stranger | extra, data=data)
            assert status == 404, (method, path)
            assert method == "HEAD" or '"not_found"' in said, said
    assert await other.everything() == before
    assert len(walked) == len([path for _, path in NEEDED if "{" in path and not path.startswith(NO_OBJECTS)])
    for path in (
        f"/v1/jobs/{other.jobs[0]}",
        *(f"/v1/jobs/{other.jobs[1]}/{name}" for name in ("webhook-attempts", "work")),
        f"/v1/webhooks/tests/{other.webhook_test}",
        f"/v1/voices/{other.voice}",
        f"/v1/webhooks/endpoints/{other.webhook_endpoint}",
    ):
        assert (await asked(other.ingest, "GET", path, other.owner))[0] == 200
    assert (await asked(other.ingest, "HEAD", other.upload, other.owner | TUS))[0] == 200


async def test_lists_show_and_change_own_objects_only(other: OtherTenant) -> None:
    before = await other.everything()
    ingest, stranger = other.ingest, other.stranger
    assert (await ingest.get("/v1/jobs", headers=stranger))[1] == {"jobs": [], "next_cursor": None}
    assert (await ingest.get("/v1/dead-letters", headers=stranger))[1]["dead_letters"] == []
    assert (await ingest.post(None, "/v1/dead-letters/redrive", headers=stranger))[1] == {"redriven": 0}
    assert (await ingest.get("/v1/dead-letters/counts", headers=stranger))[1] == {"counts": [], "total": 0}
    assert await asked(ingest, "DELETE", "/v1/dead-letters", stranger) == (200, '{"discarded":0}')
    assert (await ingest.get("/v1/webhooks/attempts", headers=stranger))[1]["attempts"] == []
    assert (await ingest.get("/v1/voices", headers=stranger))[1] == {"voices": []}
    assert (await ingest.get("/v1/webhooks/endpoints", headers=stranger))[1] == {"endpoints": []}
    _, listed = await ingest.get("/v1/keys", headers=stranger)
    assert other.key not in {key["key_id"] for key in listed["keys"]}
    assert await other.everything() == before
    _, page = await ingest.get("/v1/jobs?limit=1", headers=other.owner)
    assert (await ingest.get(f"/v1/jobs?cursor={page['next_cursor']}", headers=stranger))[1]["jobs"] == []
    assert len((await ingest.get("/v1/dead-letters", headers=other.owner))[1]["dead_letters"]) == 1


async def test_idempotency_keys_are_separate_per_tenant(other: OtherTenant) -> None:
    headers = WAV_TYPE | other.stranger | {"Idempotency-Key": "number-0"}
    status, job = await other.ingest.post(wav(), headers=headers)
    assert status == 202
    assert job["job_id"] not in other.jobs
    (row,) = await other.ingest.sql("SELECT tenant FROM jobs WHERE id = $1", job["job_id"])
    assert row["tenant"] == "globex"
