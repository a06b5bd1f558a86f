"""A provider's key is in its requests only, even if the provider echoes it."""

import logging

import pytest

from processor_service.providers.failover import transcribe_with_failover
from processor_service.providers.openai_api import OpenAIApi
from processor_service.providers.plan_pieces import ChannelPieces, Piece
from processor_service.providers.post_audio import open_session
from processor_service.settings import ProcessorSettings
from processor_service.tasks.failures import failure_of
from shared.schemas.failures import Failure
from shared.schemas.options import JobOptions
from shared.secret import Secret
from shared.settings import load_settings
from shared.telemetry.logs import JsonFormatter
from tests.support.providers.provider import KEY, settings_for
from tests.support.webhooks.endpoint import Endpoint, Script, answering, status

ECHO = f"Bearer {KEY}"
MALFORMED = b"HTTP/1.1 200 OK\r\n\x00" + ECHO.encode() + b"\r\n\r\n"


async def _failure(script: Script, piece: Piece) -> Failure:
    channel = ChannelPieces(duration_s=piece.spans[-1][1], sets=((piece,),))
    async with Endpoint(script).listening() as endpoint, open_session() as http:
        api = OpenAIApi(settings_for(endpoint), http)
        error = await transcribe_with_failover([api], [channel], JobOptions(), lambda _: None)
        assert isinstance(error, Exception)
        try:
            raise error  # as the stage does
        except type(error) as raised:
            return failure_of(raised)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(
            answering(status(401, body=f'{{"error": {{"message": "{ECHO}"}}}}'.encode())), id="in the message"
        ),
        pytest.param(answering(status(401, body=f'{{"error": {{"code": "{KEY}"}}}}'.encode())), id="as a code"),
        pytest.param(answering(status(429, f"Retry-After: {ECHO}", f"X-Echo: {ECHO}")), id="in headers"),
        pytest.param(answering(status(302, f"Location: http://{KEY}@127.0.0.1/{KEY}")), id="in a redirect"),
        pytest.param(answering(f"HTTP/1.1 {ECHO}\r\n\r\n".encode()), id="as the status"),
        pytest.param(answering(f"HTTP/1.1 500 {ECHO}\r\ncontent-length: 0\r\n\r\n".encode()), id="as the reason"),
        pytest.param(answering(MALFORMED), id="in a malformed header"),
        pytest.param(answering(status(200, body=f'{{"text": {{"{KEY}": 1}}}}'.encode())), id="in the wrong form"),
        pytest.param(answering(status(200, body=f'{{"{KEY}": {KEY}}}'.encode())), id="in broken JSON"),
        pytest.param(answering(status(200, f"Content-Encoding: {KEY}", body=b"x")), id="as an encoding"),
        pytest.param(answering(ECHO.encode()), id="instead of HTTP"),
    ],
)
async def test_an_echo_of_the_key_is_in_no_failure_traceback_or_log(
    script: Script, piece: Piece, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    failure = await _failure(script, piece)

    lines = [JsonFormatter().format(record) for record in caplog.records]
    assert any("provider_failed" in line for line in lines)
    assert failure.traceback
    assert not [text for text in (failure.message, failure.traceback, *lines) if KEY in text]


def test_the_key_is_in_no_repr() -> None:
    environ = {
        "HEADRACE_DATABASE_URL": "postgres:",
        "HEADRACE_REDIS_URL": "redis:",
        "HEADRACE_STORAGE_URL": "file:///",
        "HEADRACE_PROVIDERS": "acme",
        "HEADRACE_PROVIDER_ACME_URL": "http://127.0.0.1:1/v1",
        "HEADRACE_PROVIDER_ACME_MODEL": "m",
        "HEADRACE_PROVIDER_ACME_KEY": KEY,
    }
    settings = load_settings(ProcessorSettings, environ)

    assert settings.providers[0].key == Secret(KEY)
    assert not [text for text in (repr(settings), str(settings), f"{settings.providers[0].key}") if KEY in text]
