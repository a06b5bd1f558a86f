"""A chat provider over real connections: what it is sent, and every way in which it may answer."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from processor_service.errors import TaskError
from processor_service.providers.post_audio import open_session
from processor_service.summaries.ask import Ask
from processor_service.summaries.chat_api import MAX_ANSWER_BYTES, ChatApi, ask_in_turn, open_chats
from processor_service.summaries.numbered_lines import Line
from processor_service.summaries.read_answer import Usage
from shared.schemas.failures import FailureCode
from tests.support.providers.provider import in_turn
from tests.support.summaries.chat import KEY, body_of, chat_settings, saying
from tests.support.webhooks.endpoint import Endpoint, Script, answering, flooding, stalling, status

ASK = Ask([Line(1, 0.0, 1.0, "Hello there.")], ("summary", "chapters"), "de")
SHORT_S = 0.5
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n"


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_session() as session:
        yield session


def nothing() -> None:
    """Count no request."""


async def test_a_request_has_only_messages_a_schema_and_a_limit(http: aiohttp.ClientSession) -> None:
    async with Endpoint(saying({"summary": "Hallo."})).listening() as endpoint:
        found = await ChatApi(chat_settings(endpoint), http).ask(ASK, nothing)

    (request,) = endpoint.received
    body = body_of(request)
    assert found.usage == Usage(100, 20)
    assert request.target == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert set(body) == {"model", "messages", "stream", "max_tokens", "response_format"}
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert "Write in German" in body["messages"][0]["content"]
    assert body["response_format"]["json_schema"]["schema"]["required"] == ["summary", "chapters"]
    assert KEY.encode() not in request.body


@pytest.mark.parametrize("code", [400, 404, 422])
async def test_a_refused_format_is_left_out_from_then_on(http: aiohttp.ClientSession, code: int) -> None:
    answers = in_turn(answering(status(code)), saying("{}"), saying("{}"))
    async with Endpoint(answers).listening() as endpoint:
        api, counted = ChatApi(chat_settings(endpoint), http), []
        for _ in range(2):
            await api.ask(ASK, lambda: counted.append(1))

    assert ["response_format" in body_of(one) for one in endpoint.received] == [True, False, False]
    assert len(counted) == 3


async def test_a_request_that_is_refused_in_any_format_changes_none(http: aiohttp.ClientSession) -> None:
    answers = in_turn(answering(status(400)), answering(status(400)), saying("{}"))
    async with Endpoint(answers).listening() as endpoint:
        api = ChatApi(chat_settings(endpoint), http)
        with pytest.raises(TaskError):
            await api.ask(ASK, nothing)
        await api.ask(ASK, nothing)

    assert ["response_format" in body_of(one) for one in endpoint.received] == [True, False, True]


@pytest.mark.parametrize(
    ("settings", "present"),
    [
        ({"format": "json_object"}, {"response_format": {"type": "json_object"}}),
        ({"format": "text", "limit": "max_completion_tokens", "answer_tokens": 600}, {"max_completion_tokens": 600}),
    ],
)
async def test_settings_choose_the_fields(
    http: aiohttp.ClientSession, settings: dict[str, Any], present: dict[str, object]
) -> None:
    async with Endpoint(saying("{}")).listening() as endpoint:
        await ChatApi(chat_settings(endpoint, **settings), http).ask(ASK, nothing)
    body = body_of(endpoint.received[0])
    assert {name: body[name] for name in present} == present
    assert not {"response_format", "max_tokens", "max_completion_tokens"} & set(body) - {*present, "max_tokens"}


@pytest.mark.parametrize(
    ("script", "code", "transient"),
    [
        (answering(status(429, "Retry-After: 7")), FailureCode.PROVIDER_UNAVAILABLE, True),
        (answering(status(503)), FailureCode.PROVIDER_UNAVAILABLE, True),
        (answering(), FailureCode.PROVIDER_UNAVAILABLE, True),
        (stalling(), FailureCode.PROVIDER_UNAVAILABLE, True),
        (stalling(HEAD + b"{"), FailureCode.PROVIDER_UNAVAILABLE, True),
        (answering(status(401)), FailureCode.PROVIDER_DENIED, False),
        (answering(status(413)), FailureCode.PROVIDER_REFUSED, False),
        (answering(status(307, "location: http://169.254.169.254/")), FailureCode.PROVIDER_REFUSED, False),
        (answering(status(200, body=b"<html>")), FailureCode.PROVIDER_ANSWER, True),
        (flooding(HEAD, b"x" * (64 << 10)), FailureCode.PROVIDER_ANSWER, True),
        (flooding(HEAD + b'{"a":"', b" " * 1000), FailureCode.PROVIDER_ANSWER, True),
        (saying("{}", choices=[]), FailureCode.PROVIDER_ANSWER, True),
        (saying("{}", choices=[{"message": {"role": "tool", "content": "{}"}}]), FailureCode.PROVIDER_ANSWER, True),
        (saying({"summary": f"The key is {KEY}."}), FailureCode.PROVIDER_ANSWER, True),
    ],
    ids="busy down closed silent slow key large redirect page flood drip none role echo".split(),
)
async def test_a_bad_answer_is_a_coded_error_without_its_text(
    http: aiohttp.ClientSession, script: Script, code: FailureCode, *, transient: bool
) -> None:
    async with Endpoint(script).listening() as endpoint:
        with pytest.raises(TaskError) as raised:
            await ChatApi(chat_settings(endpoint, timeout_s=SHORT_S), http).ask(ASK, nothing)

    assert (raised.value.code, raised.value.transient, endpoint.hits) == (code, transient, 1)
    assert raised.value.message.startswith("The provider acme ")
    assert not {KEY, "169.254", "<html>"} & set(raised.value.message.split())
    assert endpoint.sent_bytes < MAX_ANSWER_BYTES + (16 << 20)  # what the sockets buffer


async def test_a_redirect_is_not_followed(http: aiohttp.ClientSession) -> None:
    async with Endpoint(saying("{}")).listening() as inside:
        away = answering(status(302, f"location: http://127.0.0.1:{inside.port}/"))
        async with Endpoint(away).listening() as endpoint:
            with pytest.raises(TaskError):
                await ChatApi(chat_settings(endpoint), http).ask(ASK, nothing)
    assert inside.hits == 0


async def test_the_next_provider_is_asked_and_an_open_breaker_is_skipped(http: aiohttp.ClientSession) -> None:
    async with (
        Endpoint(answering(status(503, "Retry-After: 99"))).listening() as down,
        Endpoint(saying('{"a": 1}')).listening() as up,
    ):
        chats = [ChatApi(chat_settings(down, "first"), http), ChatApi(chat_settings(up, "second"), http)]
        found = [await ask_in_turn(chats, ASK, nothing) for _ in range(2)]
    assert [(chat.name, answer.text) for chat, answer in found] == [("second", '{"a": 1}')] * 2
    assert (down.hits, up.hits) == (1, 2)


async def test_a_transient_error_counts_more_than_a_refusal_of_the_next(http: aiohttp.ClientSession) -> None:
    async with (
        Endpoint(answering(status(503))).listening() as down,
        Endpoint(answering(status(401))).listening() as denied,
    ):
        chats = [ChatApi(chat_settings(one, name), http) for name, one in (("a", down), ("b", denied))]
        with pytest.raises(TaskError) as raised:
            await ask_in_turn(chats, ASK, nothing)
    assert (raised.value.code, raised.value.transient) == (FailureCode.PROVIDER_UNAVAILABLE, True)


async def test_without_providers_nothing_is_opened() -> None:
    async with open_chats(()) as chats:
        assert chats == ()
