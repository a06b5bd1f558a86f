"""A secret that a client sends is in no answer, no log line, no metric, and in no row but the one that needs it.

The walks take routes, parameters, options and tables from the application and the database.
"""

import base64
import contextlib
import io
import json
import logging
import re
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

import pytest
import pytest_asyncio
from litestar import Litestar

from ingest_service.settings import IngestSettings
from ingest_service.uploads.parse_options import OPTION_TYPES
from shared.schemas.failures import FailureCode
from shared.schemas.states import JobStatus
from shared.telemetry.logs import JsonFormatter
from tests.support.ingest import records
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key
from tests.support.ingest.serving import Ingest, described_app, serving
from tests.support.ingest.sounds import wav

MARK = "s3cr3tM4rk" + "q" * 13  # 23 characters
WEBHOOK_SECRET = f"whsec_{base64.b64encode(MARK.encode()).decode()}"
SIGNED_URL = f"http://example.com/a.wav?signature={MARK}"
HOOK = f"http://example.com/hook?token={MARK}"
MARKS = (MARK, WEBHOOK_SECRET.removeprefix("whsec_").rstrip("="))
NEEDED = {
    ("jobs", "webhook_secret"),
    ("jobs", "webhook_url"),
    ("jobs", "webhooks"),
    ("jobs", "source_url"),
    ("uploads", "options"),  # until the upload is complete
    ("uploads", "metadata"),  # echoed: the URL, never the secret
}


@contextlib.contextmanager
def logged() -> Iterator[io.StringIO]:
    """Collect all log lines in the form in which the services write them."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.addFilter(lambda record: record.name != "uvicorn.access")  # the service runs without it
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


def holds_secret(text: str) -> bool:
    return any(mark in text for mark in MARKS)


async def answer_of(ingest: Ingest, method: str, path: str, **options: Any) -> tuple[int, str]:
    """Return the status, and headers and body as text. Of a stream of events, the body is the first one."""
    async with ingest.client.request(method, ingest.url + path, allow_redirects=False, **options) as answer:
        is_stream = answer.content_type == "text/event-stream"
        body = await (answer.content.readuntil(b"\n\n") if is_stream else answer.read())
        return answer.status, f"{dict(answer.headers)} {body.decode(errors='replace')}"


@cache
def requests_of(app: Litestar) -> list[tuple[str, str, set[str]]]:
    """Return each method and path, with the mark as each path parameter, and the names of parameters to try.

    These are those of the operation, and all that exist where it has a body or is undocumented. Any other is unknown.
    """
    paths = app.openapi_schema.to_schema()["paths"]
    every = {one["name"] for path in paths.values() for each in path.values() for one in each.get("parameters", [])}
    assert {"status", "limit", "cursor", "code", "format", "variant", "from"} <= every
    found = {}
    for route in app.routes:
        for method in {str(one) for each in getattr(route, "route_handlers", []) for one in each.http_methods}:
            documented = paths.get(route.path_format, {}).get(method.lower())
            names = every | set(OPTION_TYPES)
            if documented is not None and "requestBody" not in documented:
                names = {one["name"] for one in documented.get("parameters", [])}
            found[method, re.sub(r"\{[a-z_]+\}", MARK, route.path_format)] = names
    return [(*request, names) for request, names in sorted(found.items())]


@pytest_asyncio.fixture(params=["none", "required"])
async def any_ingest(
    request: pytest.FixtureRequest, settings: IngestSettings
) -> AsyncIterator[tuple[Ingest, dict[str, str]]]:
    """An ingest, and the headers by which a tenant's admin is admitted."""
    headers = {} if request.param == "none" else bearer((await new_key(settings, "acme")).key)
    async with serving(settings, auth=request.param) as ingest:
        yield ingest, headers


async def test_no_answer_and_no_line_repeats_a_refused_value(any_ingest: tuple[Ingest, dict[str, str]]) -> None:
    ingest, admitted = any_ingest
    with logged() as lines:
        for method, path, names in requests_of(described_app(ingest.settings)):
            queries = [{}, {"unknown": MARK}, *({name: MARK} for name in sorted(names))]
            for query in queries if method != "OPTIONS" else queries[:1]:
                sent = admitted | ({} if query else {name: MARK for name in sorted(names) if name[0].isupper()})
                status, answer = await answer_of(ingest, method, path, params=query, headers=sent)
                accepted = status == 201 and "presigned" not in path
                assert not holds_secret(answer) or accepted, (method, path, query, answer)
        for headers in ({"Authorization": f"Bearer {MARK}"}, {"X-API-Key": MARK}, {"Cookie": MARK}, {"Referer": MARK}):
            _, answer = await answer_of(ingest, "GET", "/v1/jobs", headers=headers)
            assert not holds_secret(answer)
        for name in ("Idempotency-Key", "Content-Digest", "Repr-Digest", "Content-Encoding", "Content-Type", "Range"):
            value = MARK + "\xe9" if name == "Idempotency-Key" else MARK
            headers = {**WAV_TYPE, **admitted, name: value}
            _, answer = await answer_of(ingest, "POST", "/v1/jobs", data=b"RIFF", headers=headers)
            assert not holds_secret(answer), name
    assert "request" in lines.getvalue()
    assert not holds_secret(lines.getvalue())


@pytest.mark.parametrize(
    "option", sorted(set(OPTION_TYPES) - {"metadata", "prompt", "model", "keyterms", "replacements", "text"})
)
async def test_an_invalid_option_is_not_repeated(ingest: Ingest, option: str) -> None:
    values: list[Any] = [MARK, [MARK], {MARK: MARK}, f"http://user:{MARK}@example.com/"]
    with logged() as lines:
        for value in values:
            body = {"audio_url": "http://example.com/a.wav", option: value}
            status, answer = await answer_of(ingest, "POST", "/v1/jobs", json=body)
            assert (status, holds_secret(answer)) == (400, False), answer
            text = value if isinstance(value, str) else json.dumps(value)
            _, answer = await answer_of(ingest, "POST", "/v1/jobs", data=wav(), params={option: text}, headers=WAV_TYPE)
            assert not holds_secret(answer)
            pair = f"{option} {base64.b64encode(text.encode()).decode()}"
            tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "9", "Upload-Metadata": pair}
            _, answer = await answer_of(ingest, "POST", "/v1/uploads", headers=tus)
            assert not holds_secret(answer)
    assert not holds_secret(lines.getvalue())


@pytest.mark.parametrize(
    "url", [f"http://u:{MARK}@h/", f"ftp://h/?{MARK}", f"http://h:{MARK}/", MARK, f"http://[{MARK}/"]
)
async def test_a_refused_url_is_not_repeated(ingest: Ingest, url: str) -> None:
    with logged() as lines:
        status, answer = await answer_of(ingest, "POST", "/v1/jobs", json={"audio_url": url})
        assert (status, holds_secret(answer)) == (400, False), answer
    assert not holds_secret(lines.getvalue())
    assert await rows_with_secret(ingest) == set()


async def rows_with_secret(ingest: Ingest) -> set[tuple[str, str]]:
    """Return the columns of all tables that hold a secret."""
    columns = await ingest.sql(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    )
    assert len(columns) > 60
    found = set()
    for table, column in columns:
        rows = await ingest.sql(f"SELECT {column}::text FROM {table} WHERE {column} IS NOT NULL")  # noqa: S608 - names of ours
        if any(holds_secret(row[0]) for row in rows):
            ((parent,),) = await ingest.sql("SELECT coalesce(pg_partition_root($1), $1::text::regclass)::text", table)
            found.add((parent, column))
    return found


SECRETS = {"webhook_url": HOOK, "webhook_secret": WEBHOOK_SECRET}
SEVERAL = {**SECRETS, "webhooks": [{"url": HOOK, "secret": WEBHOOK_SECRET}]}


def form(boundary: str = "b") -> tuple[bytes, dict[str, str]]:
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in SECRETS.items()
    )
    file = f'--{boundary}\r\nContent-Disposition: form-data; name="audio_file"; filename="a.wav"\r\n\r\n'
    body = (head + file).encode() + wav() + f"\r\n--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def tus(*, as_json: bool) -> dict[str, str]:
    values = {"options": json.dumps(SEVERAL).replace("webhook_secret", "webhook\\u005fsecret")} if as_json else SECRETS
    pairs = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items())
    return {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(wav())),
        "Upload-Metadata": pairs,
        "Content-Type": "application/offset+octet-stream",
    }


def submissions() -> dict[str, dict[str, Any]]:
    body, headers = form()
    return {
        "form": {"path": "/v1/jobs", "data": body, "headers": headers},
        "form only": {"path": "/api/upload-audio", "data": body, "headers": headers},
        "raw": {"path": "/v1/jobs", "data": wav(), "params": SECRETS, "headers": WAV_TYPE},
        "raw, options": {
            "path": "/v1/jobs", "data": wav(), "params": {"options": json.dumps(SEVERAL)}, "headers": WAV_TYPE
        },
        "url": {"path": "/v1/jobs", "json": {"audio_url": SIGNED_URL, **SEVERAL}},
        "idempotent": {
            "path": "/v1/jobs", "data": wav(), "params": SECRETS, "headers": {**WAV_TYPE, "Idempotency-Key": "k"}
        },
        "tus": {"path": "/v1/uploads", "data": wav(), "headers": tus(as_json=False)},
        "tus, options": {"path": "/v1/uploads", "data": wav(), "headers": tus(as_json=True)},
    }  # fmt: skip


@pytest.mark.parametrize("method", submissions())
async def test_the_secrets_of_a_job_are_in_no_answer_line_metric_or_other_row(ingest: Ingest, method: str) -> None:
    options = submissions()[method]
    path = options.pop("path")
    with logged() as lines:
        for _ in range(2 if method == "idempotent" else 1):
            status, answer = await answer_of(ingest, "POST", path, **options)
            assert (status in {201, 202}, holds_secret(answer)) == (True, False), answer
        (job,) = await ingest.sql("SELECT * FROM jobs")
        assert (job["webhook_secret"], job["webhook_url"]) == (WEBHOOK_SECRET, HOOK)
        assert await rows_with_secret(ingest) <= NEEDED
        await records.end_job(ingest, str(job["id"]), JobStatus.FAILED, FailureCode.INTERNAL)
        (task,) = await records.tasks_of(ingest, str(job["id"]), "prepare")
        await records.end_task(ingest, task["id"], "dead", FailureCode.INTERNAL)
        for route_method, template, _ in requests_of(described_app(ingest.settings)):
            url = template.replace(MARK, str(job["id"]))
            if route_method == "GET" and "presigned" not in url:
                _, answer = await answer_of(ingest, "GET", url)
                assert not holds_secret(answer), url
        for upload in await ingest.sql("SELECT id, metadata FROM uploads"):
            _, answer = await answer_of(
                ingest, "HEAD", f"/v1/uploads/{upload['id']}", headers={"Tus-Resumable": "1.0.0"}
            )
            for one in (answer, upload["metadata"] or ""):
                assert WEBHOOK_SECRET not in decoded(one)
        assert await ingest.delete(f"/v1/jobs/{job['id']}") == 204
        _, answer = await answer_of(ingest, "GET", f"/v1/jobs/{job['id']}")
        assert not holds_secret(answer)
    assert not holds_secret(lines.getvalue())
    (erased,) = await ingest.sql("SELECT source_url, metadata, filename FROM jobs")
    assert set(erased.values()) == {None}


def decoded(text: str) -> str:
    """Return the text with every base64 value in it decoded, too."""
    parts = [text]
    for word in text.replace(",", " ").replace("'", " ").split():
        with contextlib.suppress(ValueError):
            parts.append(base64.b64decode(word, validate=True).decode(errors="replace"))
    return " ".join(parts)


async def test_a_tenants_admin_sees_no_number_and_no_traceback_of_others(settings: IngestSettings) -> None:
    admin, other = (await new_key(settings, "acme")).key, (await new_key(settings, "globex")).key
    async with guarded(settings) as ingest:
        for _ in range(3):
            await ingest.post(wav(), headers={**WAV_TYPE, **bearer(other)})
        await ingest.post(wav(), headers={**WAV_TYPE, **bearer(admin)})
        status, text = await answer_of(ingest, "GET", "/metrics", headers=bearer(admin))
        samples = [line for line in text.splitlines() if not line.startswith(("#", "{"))]
        assert status == 200
        assert samples
        assert all(line.startswith("headrace_tenant_") for line in samples)
        assert "headrace_tenant_uploads_today 1" in [line.removesuffix(".0") for line in samples]
        await ingest.sql("UPDATE api_keys SET operates = true WHERE tenant = 'acme'")
    async with guarded(settings) as ingest:
        _, text = await answer_of(ingest, "GET", "/metrics", headers=bearer(admin))
        assert "headrace_ingest_uploads_accepted_total" in text


async def test_only_the_operator_sees_tracebacks(settings: IngestSettings) -> None:
    admin = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        _, job = await ingest.post(wav(), headers={**WAV_TYPE, **bearer(admin)})
        (task,) = await records.tasks_of(ingest, job["job_id"], "prepare")
        await records.end_task(ingest, task["id"], "dead", FailureCode.INTERNAL)
        _, page = await ingest.get("/v1/dead-letters", headers=bearer(admin))
        assert [(letter["code"], letter["traceback"]) for letter in page["dead_letters"]] == [("internal", "")]
        await ingest.sql("UPDATE api_keys SET operates = true")
    async with guarded(settings) as ingest:
        _, page = await ingest.get("/v1/dead-letters", headers=bearer(admin))
        assert page["dead_letters"][0]["traceback"]


async def test_no_admin_can_make_an_operators_key(settings: IngestSettings) -> None:
    admin = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        for wanted in ({"scopes": ["operate"]}, {"scopes": ["admin"], "operates": True}):
            status, _ = await ingest.post(None, "/v1/keys", json=wanted, headers=bearer(admin))
            assert status == 400
        assert await ingest.sql("SELECT 1 FROM api_keys WHERE operates") == []
