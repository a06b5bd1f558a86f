"""API keys: authentication by either header, scopes, expiry, rotation and revocation."""

import asyncio
from typing import Any

import pytest

from ingest_service.auth.api_keys import make_key
from ingest_service.auth.caller import Scope
from ingest_service.settings import IngestSettings
from shared.secret import Secret
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key, status_of
from tests.support.ingest.raw_http import connected, head, until_closed
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav
from tests.support.ingest.tus_client import Tus

UNREACHABLE = "postgresql://x@127.0.0.1:1/x"
STRANGE = [
    {},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer hr_0123456789abcdef_short"},
    {"Authorization": "Basic aHI6aHI="},
    {"X-API-Key": "nonsense"},
    bearer(make_key().text),
]


@pytest.mark.parametrize("headers", STRANGE, ids=range(len(STRANGE)))
async def test_an_unknown_caller_gets_an_explaining_401(settings: IngestSettings, headers: dict[str, str]) -> None:
    async with guarded(settings) as ingest, ingest.client.get(ingest.url + "/v1/jobs", headers=headers) as answer:
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.content_type == "application/problem+json"
        assert (await answer.json(content_type=None))["code"] == "unauthorized"


async def test_a_key_is_accepted_in_either_header(settings: IngestSettings) -> None:
    key = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        for headers in (bearer(key), {"Authorization": f"bearer  {key}"}, {"X-API-Key": key}):
            assert (await ingest.get("/v1/jobs", headers=headers))[0] == 200
        assert (await ingest.get("/v1/jobs", headers={**bearer(key), "X-API-Key": make_key().text}))[0] == 200
        assert (await ingest.get("/v1/jobs", headers={**bearer(make_key().text), "X-API-Key": key}))[0] == 401
        assert (await ingest.get("/v1/jobs", headers={"Authorization": "Basic aHI6", "X-API-Key": key}))[0] == 200
        two = [*bearer(key).items(), *bearer(make_key().text).items()]
        async with ingest.client.get(ingest.url + "/v1/jobs", headers=two) as answer:
            assert answer.status == 401


async def test_the_id_of_a_key_alone_is_rejected(settings: IngestSettings) -> None:
    made = await new_key(settings, "acme")
    forged = make_key().text.split("_", 2)[2]
    async with guarded(settings) as ingest:
        assert await status_of(ingest, made.key) == 200
        assert await status_of(ingest, f"hr_{made.key_id}_{forged}") == 401  # also while the key is cached


async def test_only_the_digest_of_a_key_is_stored(settings: IngestSettings) -> None:
    made = await new_key(settings, "acme")
    secret = made.key.split("_", 2)[2]
    async with guarded(settings) as ingest:
        (row,) = await ingest.sql("SELECT api_keys::text AS everything FROM api_keys")
        listed = await ingest.get("/v1/keys", headers=bearer(made.key))
    assert secret not in row["everything"]
    assert secret not in str(listed)
    assert secret not in repr(made)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/schema", "/schema/openapi.json"])
async def test_health_and_openapi_need_no_key(settings: IngestSettings, path: str) -> None:
    async with guarded(settings) as ingest:
        assert (await ingest.get(path))[0] == 200


async def test_openapi_describes_authentication(settings: IngestSettings, ingest: Ingest) -> None:
    async with guarded(settings) as asking:
        _, document = await asking.get("/schema/openapi.json")
    assert document["security"] == [{"bearer": []}, {"header": []}, {"session": []}]
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header", "session"}
    open_ones = {path for path, methods in document["paths"].items() for each in methods.values() if "security" in each}
    assert open_ones == {"/health/live", "/health/ready", "/v1/uploads", "/v1/uploads/{upload_id}"}
    assert "security" not in (await ingest.get("/schema/openapi.json"))[1]  # where keys are not required


async def test_an_upload_without_a_key_is_refused_before_its_body(settings: IngestSettings) -> None:
    async with guarded(settings) as ingest:
        async with connected(ingest) as (reader, writer):
            writer.write(head("Content-Type: audio/wav", "Content-Length: 10000000", "Expect: 100-continue"))
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 401 ")  # not `100 Continue`
            writer.write_eof()
            assert b'"unauthorized"' in await until_closed(reader)
        assert ingest.stored_files() == []


async def test_a_method_override_does_not_bypass_authentication(settings: IngestSettings) -> None:
    async with guarded(settings) as ingest:
        tus = Tus.to(ingest)
        answer = await tus.request("OPTIONS", "/v1/uploads", X_HTTP_Method_Override="POST", Upload_Length="9")
        assert (answer.status, answer.headers["Tus-Resumable"]) == (401, "1.0.0")
        assert await ingest.sql("SELECT 1 FROM uploads") == []
        assert (await tus.request("OPTIONS", "/v1/uploads")).status == 204


async def test_jobs_belong_to_the_tenant_of_the_key(settings: IngestSettings) -> None:
    own, other = (await new_key(settings, "acme")).key, (await new_key(settings, "globex")).key
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    body = (
        b'--b\r\nContent-Disposition: form-data; name="audio_file"; filename="a.wav"\r\n\r\n' + wav() + b"\r\n--b--\r\n"
    )
    async with guarded(settings) as ingest:
        await ingest.post(wav(), headers=WAV_TYPE | bearer(own))
        await ingest.post(body, "/api/upload-audio", headers=form | bearer(own))
        await ingest.post({"audio_url": "x"}, headers=bearer(own))  # refused: creates no job
        uploading = {
            "Upload-Length": str(len(wav())),
            "Tus-Resumable": "1.0.0",
            "Content-Type": "application/offset+octet-stream",
        }
        async with ingest.client.post(
            ingest.url + "/v1/uploads", data=wav(), headers=uploading | bearer(own)
        ) as answer:
            assert answer.status == 201
        assert {row["tenant"] for row in await ingest.sql("SELECT tenant FROM jobs")} == {"acme"}
        assert len((await ingest.get("/v1/jobs", headers=bearer(own)))[1]["jobs"]) == 3
        assert (await ingest.get("/v1/jobs", headers=bearer(other)))[1]["jobs"] == []


async def test_an_expired_key_is_rejected(settings: IngestSettings) -> None:
    made = await new_key(settings, "acme", expires_days=1)
    async with guarded(settings) as ingest:
        assert await status_of(ingest, made.key) == 200
        await ingest.sql("UPDATE api_keys SET expires_at = now() WHERE id = $1", made.key_id)

        async with asyncio.timeout(10):
            while await status_of(ingest, made.key) != 401:
                pass


async def test_without_postgres_an_unknown_key_gets_a_503(settings: IngestSettings) -> None:
    async with guarded(settings, database_url=Secret(UNREACHABLE)) as ingest:
        async with ingest.client.get(ingest.url + "/v1/jobs", headers=bearer(make_key().text)) as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (503, "database_unavailable")
            assert int(answer.headers["Retry-After"]) > 0
        assert (await ingest.get("/v1/jobs"))[0] == 401


async def test_an_admin_creates_keys_of_its_own_tenant_only(settings: IngestSettings) -> None:
    admin = (await new_key(settings, "acme", Scope.ADMIN)).key
    other = await new_key(settings, "globex")
    async with guarded(settings) as ingest:
        wanted = {"scopes": ["read", "submit", "read"], "purpose": "shop", "expires_days": 30}
        status, made = await ingest.post(None, "/v1/keys", json=wanted, headers=bearer(admin))
        assert (status, made["scopes"], made["purpose"]) == (201, ["read", "submit"], "shop")
        assert made["key"].startswith(f"hr_{made['key_id']}_")
        assert await status_of(ingest, made["key"]) == 200
        (row,) = await ingest.sql(
            "SELECT tenant, expires_at - created_at AS lives FROM api_keys WHERE id = $1", made["key_id"]
        )
        assert (row["tenant"], row["lives"].days) == ("acme", 30)

        _, listed = await ingest.get("/v1/keys", headers=bearer(admin))
        assert {key["purpose"] for key in listed["keys"]} == {"default", "shop"}
        assert all("key" not in key for key in listed["keys"])
        assert await revoke(ingest, admin, other.key_id) == 404
        assert await status_of(ingest, other.key) == 200


async def revoke(ingest: Ingest, admin: str, key_id: str) -> int:
    async with ingest.client.delete(f"{ingest.url}/v1/keys/{key_id}", headers=bearer(admin)) as answer:
        return answer.status


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"scopes": []},
        {"scopes": ["everything"]},
        {"scopes": ["read"], "purpose": "two words"},
        {"scopes": ["read"], "purpose": "line\n"},
        {"scopes": ["read"], "expires_days": 0},
        {"scopes": ["read"], "expire_days": 1},
        {"scopes": ["read"], "tenant": "globex"},
        "no object",
    ],
    ids=str,
)
async def test_an_invalid_key_request_gets_a_400(ingest: Ingest, wanted: Any) -> None:
    status, problem = await ingest.post(None, "/v1/keys", json=wanted)
    assert status == 400
    assert problem["code"] in {"invalid_parameter", "invalid_request"}
    assert await ingest.sql("SELECT 1 FROM api_keys") == []


async def test_a_key_is_rotated_with_a_second_key_of_the_same_purpose(settings: IngestSettings) -> None:
    admin = (await new_key(settings, "acme", Scope.ADMIN)).key
    old, new = [(await new_key(settings, "acme", Scope.READ, purpose="shop")) for _ in range(2)]
    async with guarded(settings) as ingest:
        assert (await status_of(ingest, old.key), await status_of(ingest, new.key)) == (200, 200)
        third = {"scopes": ["read"], "purpose": "shop"}
        status, problem = await ingest.post(None, "/v1/keys", json=third, headers=bearer(admin))
        assert (status, problem["code"]) == (409, "too_many_keys")
        assert await revoke(ingest, admin, old.key_id) == 204
        assert await revoke(ingest, admin, old.key_id) == 204  # a repeat is no error
        assert (await status_of(ingest, old.key), await status_of(ingest, new.key)) == (401, 200)
        assert (await ingest.post(None, "/v1/keys", json=third, headers=bearer(admin)))[0] == 201


async def test_concurrent_requests_create_at_most_two_keys(settings: IngestSettings) -> None:
    await new_key(settings, "acme", Scope.READ, purpose="shop")
    admin = (await new_key(settings, "acme", Scope.ADMIN)).key
    async with guarded(settings) as ingest:
        wanted = {"scopes": ["read"], "purpose": "shop"}
        posts = (ingest.post(None, "/v1/keys", json=wanted, headers=bearer(admin)) for _ in range(8))
        assert sorted(status for status, _ in await asyncio.gather(*posts)) == [201] + [409] * 7


@pytest.mark.parametrize("key_id", ["nothing", "%00", "0123456789abcdef", "%F0%9F%94%91"])
async def test_revoking_an_unknown_key_gets_a_404(ingest: Ingest, key_id: str) -> None:
    assert await ingest.delete(f"/v1/keys/{key_id}") == 404
