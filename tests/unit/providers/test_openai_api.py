"""Answers of a provider and their results, over real connections to a faulty provider."""

import asyncio
import datetime as dt
import email.utils
import gzip
import io
from contextlib import AsyncExitStack

import aiohttp
import pytest
import soundfile

from processor_service.errors import TaskError
from processor_service.providers.openai_api import OpenAIApi
from processor_service.providers.plan_pieces import Piece
from processor_service.providers.post_audio import MAX_ANSWER_BYTES
from shared.schemas.failures import FailureCode
from shared.schemas.options import JobOptions
from shared.secret import Secret
from tests.support.providers.fixtures import PIECE_S, Fail, Recognize
from tests.support.providers.provider import KEY, form_of, in_turn, settings_for, transcribing
from tests.support.webhooks.endpoint import Endpoint, Script, answering, flooding, stalling, status

SHORT_S = 0.3
ZIPPED = gzip.compress(b'{"text": "Hi."}')
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


async def test_a_request_has_the_audio_and_the_options_of_the_job(recognize: Recognize) -> None:
    options = JobOptions(language="de", prompt="Grüße")
    async with Endpoint(transcribing("one", "two")).listening() as endpoint:
        transcript = await recognize(endpoint, options)

    (request,) = endpoint.received
    *fields, (name, audio) = form_of(request)
    assert transcript.text == "One two."
    assert request.target == "/v1/audio/transcriptions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert fields == [
        ("model", b"whisper-9"),
        ("response_format", b"verbose_json"),
        ("language", b"de"),
        ("timestamp_granularities[]", b"word"),
        ("timestamp_granularities[]", b"segment"),
        ("prompt", "Grüße".encode()),
    ]
    assert name == "file"
    samples, rate_hz = soundfile.read(io.BytesIO(audio))
    assert (len(samples) / rate_hz, rate_hz, samples.ndim) == (PIECE_S, 16_000, 1)


async def test_no_special_token_of_a_prompt_reaches_the_tokenizer_of_a_provider(recognize: Recognize) -> None:
    async with Endpoint(transcribing("one")).listening() as endpoint:
        await recognize(endpoint, JobOptions(prompt="Notes on <|endoftext|> 🎉"))

    assert dict(form_of(endpoint.received[0]))["prompt"] == "Notes on < |endoftext| > 🎉".encode()


async def test_a_translation_is_sent_to_another_url(recognize: Recognize) -> None:
    async with Endpoint(transcribing("one", words=None)).listening() as endpoint:
        transcript = await recognize(endpoint, JobOptions(task="translate", language="de"))

    (request,) = endpoint.received
    assert request.target == "/v1/audio/translations"
    assert [name for name, _ in form_of(request)] == ["model", "response_format", "file"]
    assert transcript.text == "One."


@pytest.mark.parametrize(("times", "form"), [("segments", b"verbose_json"), ("none", b"json")])
async def test_times_are_requested_only_from_providers_that_return_them(
    recognize: Recognize, times: str, form: bytes
) -> None:
    async with Endpoint(answering(status(200, body=b'{"text": "Hi."}'))).listening() as endpoint:
        assert (await recognize(endpoint, times=times)).text == "Hi."

    fields = form_of(endpoint.received[0])
    assert [name for name, _ in fields] == ["model", "response_format", "file"]
    assert fields[1][1] == form


async def test_without_a_key_no_authorization_is_sent(recognize: Recognize) -> None:
    async with Endpoint(transcribing("one")).listening() as endpoint:
        await recognize(endpoint, key=Secret(""))

    assert "authorization" not in endpoint.received[0].headers


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 529])
async def test_temporary_errors_are_transient(fail: Fail, code: int) -> None:
    error = await fail(answering(status(code)))

    assert (error.code, error.transient, error.retry_after_s) == (FailureCode.PROVIDER_UNAVAILABLE, True, None)
    assert error.message == f"The provider acme answered {code}."


@pytest.mark.parametrize("code", [429, 503])
async def test_retry_after_in_seconds_is_kept(fail: Fail, code: int) -> None:
    assert (await fail(answering(status(code, "Retry-After: 21")))).retry_after_s == 21


async def test_retry_after_as_a_date_is_kept(fail: Fail) -> None:
    when = email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1), usegmt=True)

    error = await fail(answering(status(429, f"Retry-After: {when}")))

    assert error.retry_after_s is not None
    assert 3000 < error.retry_after_s <= 3600


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        (401, FailureCode.PROVIDER_DENIED),
        (403, FailureCode.PROVIDER_DENIED),
        (400, FailureCode.PROVIDER_REFUSED),
        (404, FailureCode.PROVIDER_REFUSED),
        (413, FailureCode.PROVIDER_REFUSED),
        (422, FailureCode.PROVIDER_REFUSED),
    ],
)
async def test_refusals_are_permanent(fail: Fail, code: int, failure: FailureCode) -> None:
    error = await fail(answering(status(code, "Retry-After: 5")))

    assert (error.code, error.transient) == (failure, False)


async def test_the_code_of_an_error_is_kept_and_its_message_is_not(fail: Fail) -> None:
    body = f'{{"error": {{"message": "No such model: {KEY}", "code": "model_not_found"}}}}'

    error = await fail(answering(status(404, body=body.encode())))

    assert error.message == "The provider acme answered 404 (model_not_found)."


@pytest.mark.parametrize(
    "body",
    [
        f'{{"error": {{"code": "{KEY}"}}}}'.encode(),
        b'{"error": {"code": "Cannot transcribe: ask not what your country"}}',
        b'{"error": "words"}',
        b'{"error": {"code": 7}}',
        b"<html>",
    ],
)
async def test_an_invalid_code_is_not_kept(fail: Fail, body: bytes) -> None:
    assert (await fail(answering(status(400, body=body)))).message == "The provider acme answered 400."


async def test_a_code_that_is_part_of_the_key_is_not_kept(fail: Fail) -> None:
    error = await fail(answering(status(400, body=b'{"error": {"code": "only_letters"}}')), key=Secret("only_letters"))

    assert error.message == "The provider acme answered 400."


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(fail: Fail, code: int) -> None:
    async with Endpoint(transcribing("one")).listening() as elsewhere:
        error = await fail(answering(status(code, f"Location: http://127.0.0.1:{elsewhere.port}/")))

    assert (error.code, elsewhere.hits) == (FailureCode.PROVIDER_REFUSED, 0)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(answering(status(200)), id="nothing"),
        pytest.param(answering(status(200, body=b"<html>Welcome</html>")), id="a page"),
        pytest.param(answering(status(200, body=b'{"text": "cut of')), id="truncated"),
        pytest.param(answering(status(200, body=b'{"result": []}')), id="wrong JSON"),
        pytest.param(answering(status(200, "content-encoding: gzip", body=ZIPPED)), id="compressed without request"),
    ],
)
async def test_an_invalid_answer_is_a_transient_error(fail: Fail, script: Script) -> None:
    error = await fail(script)

    assert (error.code, error.transient) == (FailureCode.PROVIDER_ANSWER, True)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(HEAD + b"\r\n", id="endless"),
        pytest.param(HEAD + b"content-length: 104857600\r\n\r\n", id="100 MB"),
    ],
)
async def test_reading_stops_at_the_maximum_length_of_an_answer(fail: Fail, head: bytes) -> None:
    sent: list[int] = []

    async def flood(endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await flooding(head, b" " * 65536)(endpoint, reader, writer)
        finally:
            sent.append(endpoint.sent_bytes)

    error = await fail(flood, timeout_s=120.0)

    assert (error.code, error.transient) == (FailureCode.PROVIDER_ANSWER, True)
    assert sent[0] < 2 * MAX_ANSWER_BYTES


@pytest.mark.parametrize(
    ("script", "why"),
    [
        pytest.param(answering(), "closed the connection", id="nothing"),
        pytest.param(answering(HEAD), "closed the connection", id="truncated header"),
        pytest.param(answering(HEAD + b"content-length: 100\r\n\r\n{"), "closed the connection", id="cut by length"),
        pytest.param(
            answering(HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{"), "closed the connection", id="cut in a chunk"
        ),
        pytest.param(answering(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "valid HTTP", id="not HTTP"),
        pytest.param(flooding(b"HTTP/1.1 200 OK\r\nx: ", b"y" * 1024), "valid HTTP", id="an endless header"),
    ],
)
async def test_a_broken_connection_is_a_transient_error(fail: Fail, script: Script, why: str) -> None:
    error = await fail(script)

    assert (error.code, error.transient) == (FailureCode.PROVIDER_UNAVAILABLE, True)
    assert why in error.message


@pytest.mark.parametrize("setting", ["timeout_s", "silence_s"])
@pytest.mark.parametrize("start", [b"", HEAD, HEAD + b"content-length: 100\r\n\r\n{"])
async def test_a_request_to_a_hanging_provider_times_out(fail: Fail, setting: str, start: bytes) -> None:
    error = await fail(stalling(start), **{setting: SHORT_S})

    assert (error.code, error.transient) == (FailureCode.PROVIDER_UNAVAILABLE, True)
    assert error.message == "The provider acme did not answer in time."


async def test_a_slowly_dripping_answer_times_out(fail: Fail) -> None:
    async def drip(endpoint: Endpoint, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await endpoint.send(writer, HEAD + b"\r\n")
        while True:
            await endpoint.send(writer, b" ")
            await asyncio.sleep(SHORT_S / 10)  # the injected fault, not a wait

    assert (await fail(drip, timeout_s=SHORT_S)).message == "The provider acme did not answer in time."


async def test_a_refused_connection_is_a_transient_error(recognize: Recognize) -> None:
    async with Endpoint(transcribing()).listening() as endpoint:
        pass

    with pytest.raises(TaskError, match="could not be reached") as raised:
        await recognize(endpoint)

    assert (raised.value.code, raised.value.transient) == (FailureCode.PROVIDER_UNAVAILABLE, True)


async def test_a_cancelled_request_closes_its_connection(recognize: Recognize) -> None:
    reached = asyncio.Event()

    async def hang(_: Endpoint, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()

    async with Endpoint(hang).listening() as endpoint:
        request = asyncio.create_task(recognize(endpoint))
        await asyncio.wait_for(reached.wait(), 5)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await endpoint.ended()


async def test_a_failing_provider_is_not_asked_until_a_probe_succeeds(
    http: aiohttp.ClientSession, piece: Piece
) -> None:
    """The decisions are tested in test_breaker.py."""
    answer, asked = asyncio.Event(), asyncio.Event()

    async def slowly(endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await answer.wait()
        await transcribing("back")(endpoint, reader, writer)

    async with AsyncExitStack() as stack:
        script = in_turn(answering(status(500)), answering(status(500)), slowly, transcribing("again"))
        endpoint = await stack.enter_async_context(Endpoint(script).listening())
        api = OpenAIApi(settings_for(endpoint, failures=2, cool_down_s=1000.0), http)

        async def recognize() -> str:
            return (await api.transcribe([piece], JobOptions(), lambda _: None))[0].text

        for _ in range(2):
            with pytest.raises(TaskError, match="answered 500"):
                await recognize()
        with pytest.raises(TaskError, match="is not asked") as refused:
            await recognize()
        assert refused.value.retry_after_s is not None
        assert 0 < refused.value.retry_after_s <= 1000

        now_s = api.breaker.clock_s()
        api.breaker.clock_s = lambda: now_s + 1000.0
        probe = asyncio.create_task(recognize())
        await asyncio.wait_for(asked.wait(), 5)
        with pytest.raises(TaskError, match="is not asked") as waiting:
            await recognize()
        assert (waiting.value.transient, waiting.value.retry_after_s) == (True, None)
        answer.set()

        assert (await probe, await recognize(), endpoint.hits) == ("Back.", "Again.", 4)


async def test_a_refusal_does_not_open_the_breaker(http: aiohttp.ClientSession, piece: Piece) -> None:
    script = in_turn(*[answering(status(400))] * 3, transcribing("yes"))
    async with Endpoint(script).listening() as endpoint:
        api = OpenAIApi(settings_for(endpoint, failures=1), http)
        for _ in range(3):
            with pytest.raises(TaskError, match="answered 400"):
                await api.transcribe([piece], JobOptions(), lambda _: None)
        (transcript,) = await api.transcribe([piece], JobOptions(), lambda _: None)

    assert transcript.text == "Yes."


async def test_a_rejected_key_opens_the_breaker(http: aiohttp.ClientSession, piece: Piece) -> None:
    async with Endpoint(answering(status(401))).listening() as endpoint:
        api = OpenAIApi(settings_for(endpoint, failures=2), http)
        for _ in range(3):
            with pytest.raises(TaskError):
                await api.transcribe([piece], JobOptions(), lambda _: None)

    assert endpoint.hits == 2


async def test_pieces_are_transcribed_in_order_and_progress_is_reported(
    http: aiohttp.ClientSession, piece: Piece
) -> None:
    later = Piece(path=piece.path, spans=((10.0, 14.0),))
    reported: list[float] = []
    async with Endpoint(in_turn(transcribing("one"), transcribing("two"))).listening() as endpoint:
        transcripts = await OpenAIApi(settings_for(endpoint), http).transcribe(
            [piece, later], JobOptions(), reported.append
        )

    assert [one.segments[0].words[0].start for one in transcripts] == [0.0, 10.0]
    assert reported == [0.5, 1.0]
