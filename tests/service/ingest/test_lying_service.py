"""`headrace` against a server that is none of Headrace's: it ends with an error, and gives the key to no other host."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from deploy.command import api as api_module
from deploy.command.api import Api, opened_api
from deploy.command.errors import ApiError
from deploy.command.follow import LONGEST_LINE_BYTES, wait_for_end
from deploy.command.retries import ONCE
from deploy.command.sources import Source, find_sources
from deploy.command.state import State
from deploy.command.submit import RESUMABLE_FROM_BYTES, Submission, submit
from shared.schemas.options import JobOptions
from shared.secret import Secret
from tests.support.command import Command

UPLOAD = "/v1/uploads/one"
JOB_ID = "019aa3c5-7a3e-7bd0-9c46-0d6c2f1f7f10"


class Liar:
    """A server whose answers a test chooses by method and path."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: dict[str, Any] = {}
        self.asked: list[web.Request] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        answer = self.answers.get(f"{request.method} {request.path}")
        await request.read()
        if answer is None:
            return web.Response(status=404)
        made: web.StreamResponse = await answer(request)
        return made


@pytest.fixture
async def liar() -> AsyncIterator[Liar]:
    found, application = Liar(), web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", found.handle)
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@pytest.fixture
async def api(liar: Liar) -> AsyncIterator[Api]:
    async with opened_api(liar.url, Secret("hr_key"), retries=ONCE, note=print) as opened:
        yield opened


def always(status: int = 200, **options: Any) -> Any:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, **options)

    return answer


def audio_of(path: Path, size: int) -> Source:
    path.write_bytes(b"\0" * size)
    (source,) = find_sources([str(path)])
    return source


async def submitted(api: Api, path: Path, size: int) -> str:
    source = audio_of(path, size)
    state, submission = State(None), Submission(source, source.stat(), JobOptions())
    return await submit(api, state, state.work("x", source, None, b"{}"), submission, lambda _: None)


@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_an_endless_answer_is_refused(liar: Liar, api: Api, coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        if coding == "gzip":
            answer.enable_compression(web.ContentCoding.gzip)
        await answer.prepare(request)
        for _ in itertools.count():
            await answer.write(b" " * (1 << 20))
        return answer

    monkeypatch.setattr(api_module, "MOST_BYTES", 4 << 20)
    liar.answers["GET /v1/jobs"] = endless

    with pytest.raises(ApiError, match="more than 4 MiB") as raised:
        await api.send("GET", "/v1/jobs")
    assert raised.value.code == "unexpected_answer"


async def test_a_compressed_answer_is_read(liar: Liar, api: Api) -> None:
    async def compressed(_: web.Request) -> web.Response:
        answer = web.Response(text="[1]", content_type="application/json")
        answer.enable_compression(web.ContentCoding.gzip)
        return answer

    liar.answers["GET /v1/jobs"] = compressed

    assert await api.get(list[int], "/v1/jobs") == [1]


async def test_a_redirect_is_not_followed(liar: Liar, api: Api) -> None:
    liar.answers["GET /v1/jobs"] = always(307, headers={"Location": f"{liar.url}/other"})

    with pytest.raises(ApiError, match="answers 307"):
        await api.send("GET", "/v1/jobs")
    assert len(liar.asked) == 1


async def test_an_endless_line_of_a_stream_is_refused(liar: Liar, api: Api) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        for _ in itertools.count():
            await answer.write(b"x" * LONGEST_LINE_BYTES)
        return answer

    liar.answers[f"GET /v1/jobs/{JOB_ID}/events"] = endless

    with pytest.raises(ApiError) as raised:  # the job is asked for after the stream
        await wait_for_end(api, JOB_ID, print)
    assert raised.value.status == 404


@pytest.mark.parametrize("job_id", ["../../other", "a\nb", "", "x?y=z", "x" * 65])
async def test_an_id_that_would_change_the_path_is_refused(liar: Liar, api: Api, tmp_path: Path, job_id: str) -> None:
    links = dict.fromkeys(("self", "transcript", "audio", "events"), "/x")
    liar.answers["POST /v1/jobs"] = always(
        202, body=msgspec.json.encode({"job_id": job_id, "status": "QUEUED", "links": links})
    )

    with pytest.raises(ApiError) as raised:
        await submitted(api, tmp_path / "a.wav", 10)
    assert (raised.value.code, len(liar.asked)) == ("unexpected_answer", 1)


@pytest.mark.parametrize("location", [None, "", "/v1/uploads/..", "/v1/uploads/a%2e"])
async def test_an_upload_without_a_valid_address_is_refused(
    liar: Liar, api: Api, tmp_path: Path, location: str | None
) -> None:
    headers = {} if location is None else {"Location": location}
    liar.answers["POST /v1/uploads"] = always(201, headers=headers)

    with pytest.raises(ApiError, match="no valid id"):
        await submitted(api, tmp_path / "a.wav", RESUMABLE_FROM_BYTES)


@pytest.mark.parametrize("offset", [None, "-1", "x", "0", "99999999999", "9" * 5000])
async def test_an_upload_that_never_grows_ends(liar: Liar, api: Api, tmp_path: Path, offset: str | None) -> None:
    headers = {} if offset is None else {"Upload-Offset": offset}
    liar.answers["POST /v1/uploads"] = always(201, headers={"Location": UPLOAD})
    liar.answers[f"PATCH {UPLOAD}"] = always(204, headers=headers)

    with pytest.raises(ApiError, match="Unexpected answer"):
        await submitted(api, tmp_path / "a.wav", RESUMABLE_FROM_BYTES)


async def test_an_upload_that_never_becomes_a_job_ends(liar: Liar, api: Api, tmp_path: Path) -> None:
    headers = {"Upload-Offset": str(RESUMABLE_FROM_BYTES)}
    liar.answers["POST /v1/uploads"] = always(201, headers={"Location": UPLOAD})
    liar.answers[f"PATCH {UPLOAD}"] = liar.answers[f"HEAD {UPLOAD}"] = always(204, headers=headers)

    with pytest.raises(ApiError, match="no job yet"):
        await submitted(api, tmp_path / "a.wav", RESUMABLE_FROM_BYTES)


@pytest.mark.process
@pytest.mark.parametrize("command", ["jobs", "dead-letters"])
async def test_a_list_that_names_the_same_page_again_ends(liar: Liar, tmp_path: Path, command: str) -> None:
    page = {"jobs": [], "dead_letters": [], "next_cursor": "again"}
    liar.answers[f"GET /v1/{command}"] = always(body=msgspec.json.encode(page))

    ended = await Command(liar.url, tmp_path).run(command)

    assert ended.status == 0
    assert len(liar.asked) <= 2


@pytest.mark.process
async def test_keys_in_an_unknown_form_are_an_error_of_one_line(liar: Liar, tmp_path: Path) -> None:
    liar.answers["GET /v1/keys"] = always(body=b"{}")

    ended = await Command(liar.url, tmp_path).run("keys", "--json")

    assert (ended.status, ended.errors.count("\n")) == (1, 1)


@pytest.mark.process
async def test_a_terminal_is_not_controlled(liar: Liar, tmp_path: Path) -> None:
    key = {"key_id": "k", "purpose": "\x1b[2J", "scopes": ["\x1b]0;x\x07"], "created_at": "\x9b2J"}
    liar.answers["GET /v1/keys"] = always(body=msgspec.json.encode({"keys": [key]}))

    ended = await Command(liar.url, tmp_path).run("keys")

    assert ended.status == 0
    assert not set(ended.output) & set("\x1b\x07\x9b")
