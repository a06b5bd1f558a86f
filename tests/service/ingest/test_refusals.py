"""Every parameter, header and path value that is refused: the answer names it and says what is allowed."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from litestar.params import HeaderParameter, QueryParameter
from litestar.routes import HTTPRoute
from yarl import URL

from ingest_service.settings import IngestSettings
from shared.ids import new_id
from tests.support.ingest.serving import Ingest, described_app
from tests.support.ingest.sounds import wav
from tests.support.refusals import assert_is_a_sentence

BAD: tuple[str | bytes, ...] = (
    *("", "*", "nonsense!", "-1", "0", "99999999999999999999", "9" * 5000, "1e400", "nan", "1.5", "x" * 3000, "["),
    *("\x00", b"\xff", b"\xed\xa0\x80"),  # the last: a surrogate
)
WAV = {"Content-Type": "audio/wav"}
JSON = {"Content-Type": "application/json"}
TUS = {"Tus-Resumable": "1.0.0"}
JOB_ID = "01a222aa-bf3a-74f5-8c25-c14c5851a3f9"  # the same in all test processes: it is part of names


class Parameter(NamedTuple):
    method: str
    path: str
    name: str


def query_parameters(settings: IngestSettings) -> Iterator[Parameter]:
    """Yield every query parameter that has a type of its own."""
    for route in described_app(settings).routes:
        if isinstance(route, HTTPRoute) and not route.path.startswith("/schema"):
            for handler in route.route_handlers:
                for name, parameter in handler.parsed_fn_signature.parameters.items():
                    given = parameter.kwarg_definition
                    if isinstance(given, QueryParameter) and not isinstance(given, HeaderParameter):
                        method = next(iter(handler.http_methods))
                        yield Parameter(str(method), route.path_format, given.name or name)


async def test_every_query_parameter(ingest: Ingest) -> None:
    parameters = list(query_parameters(ingest.settings))
    assert len(parameters) >= 12
    for method, path, name in parameters:
        refused = 0
        for value in BAD:
            url = f"{ingest.url}{path.replace('{job_id}', str(new_id()))}?{name}={quote(value)}"
            url += "&q=hello" if path.endswith("/search") and name != "q" else ""  # a required one
            async with ingest.client.request(method, URL(url, encoded=True)) as answer:
                if answer.status != 400:
                    assert answer.status in {200, 404}, (method, path, name, value)
                    continue
                refused += 1
                if method != "HEAD":
                    problem = await answer.json(content_type="application/problem+json")
                    assert problem["code"] == "invalid_parameter"
                    assert f"`{name}`" in problem["detail"]
                    assert_is_a_sentence(problem["detail"])
        assert refused, (method, path, name)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/jobs?status=done", "`status` must be `QUEUED`, `PROCESSING`, `COMPLETED`, `FAILED` or `CANCELLED`"),
        ("/v1/jobs?status=FAILED&status=done", "`status` must be `QUEUED`, `PROCESSING`, `COMPLETED`, `FAILED` or"),
        ("/v1/jobs?status=FAILED" + 9 * "&status=FAILED", None),
        ("/v1/jobs/counts?max_speakers=1001", "`max_speakers` must be a whole number from 0 to 1000"),
        ("/v1/jobs?created_before=1e-05", "`created_before` must be a time with its zone"),
        ("/v1/webhooks/attempts?since=1700000000", "`since` must be a time with its zone"),
        ("/v1/webhooks/attempts?since=", "`since` must be a time with its zone"),
        ("/v1/webhooks/attempts?since=2026-01-31T12:00:00", None),
        ("/v1/webhooks/attempts?cursor=gAAAAAAAAAA", "`cursor` must be the `next_cursor` of a page"),
        (f"/v1/jobs/{JOB_ID}/transcript/edits/x", "`version` must be a whole number from 1 to 2147483647"),
        ("/v1/jobs?limit=0", "`limit` must be a whole number from 1 to 200"),
        ("/v1/jobs?cursor=x", "`cursor` must be the `next_cursor` of a page"),
        ("/v1/jobs?cursor=" + "A" * 22, None),
        ("/v1/dead-letters?cursor=x", "`cursor` must be the `next_cursor` of a page"),
        ("/v1/dead-letters?cursor=" + "A" * 31 + "/", "`cursor` must be the `next_cursor` of a page"),
        ("/v1/dead-letters?code=x", "`undecodable_audio`"),
        ("/v1/usage?from=yesterday", "`from` must be a date such as `2026-01-31`"),
        ("/v1/usage?to=2026-02-30", "`to` must be a date such as `2026-01-31`"),
        (
            f"/v1/jobs/{JOB_ID}/transcript?format=pdf",
            "`format` must be `chapters`, `docx`, `ffmetadata`, `html`",
        ),
        (
            f"/v1/jobs/{JOB_ID}/transcript/text?format=docx",
            "`format` must be `chapters`, `ffmetadata`, `html`",
        ),
        (f"/v1/jobs/{JOB_ID}/transcript?words=perhaps", "`words` must be `true` or `false`"),
        (f"/v1/jobs/{JOB_ID}/transcript?normalize=2", "`normalize` must be `true` or `false`"),
        (f"/v1/jobs/{JOB_ID}/transcript/search", "`q` must be a phrase"),
        (f"/v1/jobs/{JOB_ID}/transcript/search?q=" + "a" * 201, "`q` must be"),
        (f"/v1/jobs/{JOB_ID}/transcript/search?q=a&limit=201", "`limit` must be a whole number from 1 to 200"),
        (f"/v1/jobs/{JOB_ID}/transcript/search?q=a&cursor=x", "`cursor` must be the `next_cursor` of a page"),
        ("/v1/search", "`q` must be words of 1 to 200 characters"),
        ("/v1/search?q=a%00b", "`q` must be words of 1 to 200 characters together, without NUL"),
        ("/v1/search?q=a&cursor=2001", "`cursor` must be the `next_cursor` of a page"),
        ("/v1/search?q=a&limit=51", "`limit` must be a whole number from 1 to 50"),
        ("/v1/search?q=a&cursor=9999", "`cursor` must be the `next_cursor` of a page"),
        ("/v1/search?q=a&language=english", "`language` must be one of af"),
        ("/v1/search?q=a&created_after=monday", "`created_after` must be"),
        (f"/v1/jobs/{JOB_ID}/audio?variant=x", "`variant` must be `denoised` or `original`"),
    ],
)
async def test_a_parameter_says_what_is_allowed(ingest: Ingest, path: str, said: str | None) -> None:
    status, problem = await ingest.get(path)

    assert status == (400 if said else 200)
    assert said is None or said in problem["detail"]


@pytest.mark.parametrize(
    ("method", "path", "headers", "named"),
    [
        ("POST", "/v1/jobs", {**WAV, "Idempotency-Key": "a b"}, "Idempotency-Key"),
        ("POST", "/v1/jobs", {**WAV, "Idempotency-Key": "x" * 300}, "Idempotency-Key"),
        ("POST", "/v1/jobs", {**WAV, "Content-Digest": "md5"}, "Content-Digest"),
        ("POST", "/v1/jobs", {**WAV, "Repr-Digest": "sha-256=:AAAA:"}, "Repr-Digest"),
        ("POST", "/v1/jobs", {**WAV, "Content-Encoding": "gzip"}, "Content-Encoding"),
        ("POST", "/v1/jobs", {"Content-Type": "text/csv"}, "text/csv"),
        ("POST", "/v1/uploads", {"Tus-Resumable": "9", "Upload-Length": "1"}, "Tus-Resumable"),
        ("POST", "/v1/uploads", {**TUS, "Upload-Length": "x"}, "Upload-Length"),
        ("POST", "/v1/uploads", {**TUS, "Upload-Length": "-1"}, "Upload-Length"),
        ("POST", "/v1/uploads", {**TUS, "Upload-Defer-Length": "2"}, "Upload-Defer-Length"),
        ("POST", "/v1/uploads", {**TUS, "Upload-Length": "9", "Upload-Metadata": "task !"}, "task"),
        ("POST", "/v1/uploads", {**TUS, "Upload-Length": "9", "Upload-Metadata": "task eA=="}, "task"),
        ("POST", "/v1/uploads", {**TUS, "Upload-Length": "9", "Upload-Metadata": ",task eA=="}, "Upload-Metadata"),
        ("POST", "/v1/uploads", {**TUS, "Upload-Length": "9", "Upload-Concat": "partial"}, "Upload-Concat"),
    ],
)
async def test_every_header(ingest: Ingest, method: str, path: str, headers: dict[str, str], named: str) -> None:
    data = None if path == "/v1/uploads" else wav()
    async with ingest.client.request(method, ingest.url + path, data=data, headers=headers) as answer:
        problem = await answer.json(content_type=None)

    assert 400 <= answer.status < 500
    assert named in problem["detail"]
    assert_is_a_sentence(problem["detail"])


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/v1/keys", {}, "`scopes` is missing. It must be a list"),
        ("/v1/keys", {"scopes": ["operate"]}, "`scopes` must be `submit`, `read`, `observe` or `admin`"),
        ("/v1/keys", {"scopes": ["read"], "purpose": "-"}, "`purpose` must be 1 to 63 letters"),
        ("/v1/keys", {"scopes": ["read"], "sk_live_secret": 1}, "`sk_live_secret` is not a field"),
        ("/v1/keys", [], "must be an object with the fields"),
        ("/v1/webhooks/secret/rotate", {"previous_valid_s": "x"}, "`previous_valid_s` must be a whole number"),
    ],
)
async def test_every_body(ingest: Ingest, path: str, body: Any, said: str) -> None:
    async with ingest.client.post(ingest.url + path, json=body) as answer:
        problem = await answer.json(content_type=None)

    assert (answer.status, problem["code"]) == (400, "invalid_parameter")
    assert said in problem["detail"]
    assert_is_a_sentence(problem["detail"])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"audio_url": 1}', b"nonsense", b'"\xff"'])
async def test_a_body_that_is_no_json_object(ingest: Ingest, body: bytes) -> None:
    status, problem = await ingest.post(body, headers=JSON)

    assert status == 400
    assert_is_a_sentence(problem["detail"])


@pytest.mark.parametrize(
    "text", ["x", "0", "{}", "019aa3c5-7a3e-7bd0-9c46-0d6c2f1f7f1", "019AA3C57A3E7BD09C460D6C2F1F7F10"]
)
async def test_a_job_id_of_another_form_is_unknown(ingest: Ingest, text: str) -> None:
    status, problem = await ingest.get(f"/v1/jobs/{text}")

    assert (status, problem["code"]) == (404, "not_found")
    assert "`job_id`" in problem["detail"]
    assert_is_a_sentence(problem["detail"])
