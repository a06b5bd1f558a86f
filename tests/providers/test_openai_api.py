"""What a provider may answer, and what becomes of the request: over real connections to one that misbehaves."""

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
from shared.settings import Secret
from tests.providers.conftest import PIECE_S, Fail, Hear
from tests.providers.provider import KEY, form_of, in_turn, saying, settings_for
from tests.webhooks.endpoint import Endpoint, Script, answering, flooding, stalling, status

SHORT_S = 0.3
ZIPPED = gzip.compress(b'{"text": "Hi."}')
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


async def test_a_provider_gets_the_audio_and_what_the_job_says_of_it(hear: Hear) -> None:
    options = JobOptions(language="de", prompt="Grüße")
    async with Endpoint(saying("one", "two")).listening() as endpoint:
        transcript = await hear(endpoint, options)

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


async def test_a_translation_is_asked_of_another_address(hear: Hear) -> None:
    async with Endpoint(saying("one", words=None)).listening() as endpoint:
        transcript = await hear(endpoint, JobOptions(task="translate", language="de"))

    (request,) = endpoint.received
    assert request.target == "/v1/audio/translations"
    assert [name for name, _ in form_of(request)] == ["model", "response_format", "file"]
    assert transcript.text == "One."


@pytest.mark.parametrize(("times", "form"), [("segments", b"verbose_json"), ("none", b"json")])
async def test_a_provider_is_not_asked_for_times_it_cannot_tell(hear: Hear, times: str, form: bytes) -> None:
    async with Endpoint(answering(status(200, body=b'{"text": "Hi."}'))).listening() as endpoint:
        assert (await hear(endpoint, times=times)).text == "Hi."

    fields = form_of(endpoint.received[0])
    assert [name for name, _ in fields] == ["model", "response_format", "file"]
    assert fields[1][1] == form


async def test_without_a_key_none_is_sent(hear: Hear) -> None:
    async with Endpoint(saying("one")).listening() as endpoint:
        await hear(endpoint, key=Secret(""))

    assert "authorization" not in endpoint.received[0].headers


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 529])
async def test_what_may_pass_is_transient(fail: Fail, code: int) -> None:
    error = await fail(answering(status(code)))

    assert (error.code, error.transient, error.retry_after_s) == (FailureCode.PROVIDER_UNAVAILABLE, True, None)
    assert error.message == f"The provider acme answered {code}."


@pytest.mark.parametrize("code", [429, 503])
async def test_retry_after_in_seconds_is_told(fail: Fail, code: int) -> None:
    assert (await fail(answering(status(code, "Retry-After: 21")))).retry_after_s == 21


async def test_retry_after_as_a_date_is_told(fail: Fail) -> None:
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
async def test_what_would_come_again_is_permanent(fail: Fail, code: int, failure: FailureCode) -> None:
    error = await fail(answering(status(code, "Retry-After: 5")))

    assert (error.code, error.transient) == (failure, False)


async def test_the_code_of_an_error_is_told_and_its_words_are_not(fail: Fail) -> None:
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
async def test_what_is_no_code_is_not_told(fail: Fail, body: bytes) -> None:
    assert (await fail(answering(status(400, body=body)))).message == "The provider acme answered 400."


async def test_a_key_that_looks_like_a_code_is_not_told(fail: Fail) -> None:
    error = await fail(answering(status(400, body=b'{"error": {"code": "only_letters"}}')), key=Secret("only_letters"))

    assert error.message == "The provider acme answered 400."


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(fail: Fail, code: int) -> None:
    async with Endpoint(saying("one")).listening() as elsewhere:
        error = await fail(answering(status(code, f"Location: http://127.0.0.1:{elsewhere.port}/")))

    assert (error.code, elsewhere.hits) == (FailureCode.PROVIDER_REFUSED, 0)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(answering(status(200)), id="nothing"),
        pytest.param(answering(status(200, body=b"<html>Welcome</html>")), id="a page"),
        pytest.param(answering(status(200, body=b'{"text": "cut of')), id="half of it"),
        pytest.param(answering(status(200, body=b'{"result": []}')), id="wrong JSON"),
        pytest.param(
            answering(status(200, "content-encoding: gzip", body=ZIPPED)), id="compressed, which nobody wanted"
        ),
    ],
)
async def test_garbage_is_a_failure_that_may_pass(fail: Fail, script: Script) -> None:
    error = await fail(script)

    assert (error.code, error.transient) == (FailureCode.PROVIDER_ANSWER, True)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(HEAD + b"\r\n", id="endless"),
        pytest.param(HEAD + b"content-length: 104857600\r\n\r\n", id="a hundred megabytes"),
    ],
)
async def test_little_is_read_of_an_answer_that_is_too_long(fail: Fail, head: bytes) -> None:
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
        pytest.param(answering(), "ended the connection", id="nothing"),
        pytest.param(answering(HEAD), "ended the connection", id="half a head"),
        pytest.param(answering(HEAD + b"content-length: 100\r\n\r\n{"), "ended the connection", id="cut by length"),
        pytest.param(
            answering(HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{"), "ended the connection", id="cut in a chunk"
        ),
        pytest.param(answering(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "not HTTP", id="no HTTP"),
        pytest.param(flooding(b"HTTP/1.1 200 OK\r\nx: ", b"y" * 1024), "not HTTP", id="an endless header"),
    ],
)
async def test_a_connection_that_breaks_is_a_failure_that_may_pass(fail: Fail, script: Script, why: str) -> None:
    error = await fail(script)

    assert (error.code, error.transient) == (FailureCode.PROVIDER_UNAVAILABLE, True)
    assert why in error.message


@pytest.mark.parametrize("setting", ["timeout_s", "silence_s"])
@pytest.mark.parametrize("start", [b"", HEAD, HEAD + b"content-length: 100\r\n\r\n{"])
async def test_a_provider_that_hangs_is_left(fail: Fail, setting: str, start: bytes) -> None:
    error = await fail(stalling(start), **{setting: SHORT_S})

    assert (error.code, error.transient) == (FailureCode.PROVIDER_UNAVAILABLE, True)
    assert error.message == "The provider acme did not answer in time."


async def test_a_provider_that_drips_is_left_when_the_time_for_the_whole_is_over(fail: Fail) -> None:
    async def drip(endpoint: Endpoint, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await endpoint.send(writer, HEAD + b"\r\n")
        while True:
            await endpoint.send(writer, b" ")
            await asyncio.sleep(SHORT_S / 10)  # the misfortune itself, not a wait for anything

    assert (await fail(drip, timeout_s=SHORT_S)).message == "The provider acme did not answer in time."


async def test_nobody_there_is_a_failure_that_may_pass(hear: Hear) -> None:
    async with Endpoint(saying()).listening() as endpoint:
        pass

    with pytest.raises(TaskError, match="could not be connected to") as raised:
        await hear(endpoint)

    assert (raised.value.code, raised.value.transient) == (FailureCode.PROVIDER_UNAVAILABLE, True)


async def test_a_cancelled_request_closes_its_connection(hear: Hear) -> None:
    reached = asyncio.Event()

    async def hang(_: Endpoint, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()

    async with Endpoint(hang).listening() as endpoint:
        request = asyncio.create_task(hear(endpoint))
        await asyncio.wait_for(reached.wait(), 5)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await endpoint.ended()


async def test_a_provider_that_fails_is_left_alone_until_one_probe_succeeds(
    http: aiohttp.ClientSession, piece: Piece
) -> None:
    """Only the time that must pass is short: the decisions are in test_breaker."""
    answer, asked = asyncio.Event(), asyncio.Event()

    async def slowly(endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await answer.wait()
        await saying("back")(endpoint, reader, writer)

    async with AsyncExitStack() as stack:
        script = in_turn(answering(status(500)), answering(status(500)), slowly, saying("again"))
        endpoint = await stack.enter_async_context(Endpoint(script).listening())
        api = OpenAIApi(settings_for(endpoint, failures=2, cool_down_s=1000.0), http)

        async def hear() -> str:
            return (await api.transcribe([piece], JobOptions(), lambda _: None))[0].text

        for _ in range(2):
            with pytest.raises(TaskError, match="answered 500"):
                await hear()
        with pytest.raises(TaskError, match="left alone") as resting:
            await hear()
        assert resting.value.retry_after_s is not None
        assert 0 < resting.value.retry_after_s <= 1000

        now_s = api.breaker.clock_s()
        api.breaker.clock_s = lambda: now_s + 1000.0
        probe = asyncio.create_task(hear())
        await asyncio.wait_for(asked.wait(), 5)
        with pytest.raises(TaskError, match="left alone") as waiting:
            await hear()
        assert (waiting.value.transient, waiting.value.retry_after_s) == (True, None)
        answer.set()

        assert (await probe, await hear(), endpoint.hits) == ("Back.", "Again.", 4)


async def test_a_refusal_says_nothing_of_the_next_request(http: aiohttp.ClientSession, piece: Piece) -> None:
    script = in_turn(*[answering(status(400))] * 3, saying("yes"))
    async with Endpoint(script).listening() as endpoint:
        api = OpenAIApi(settings_for(endpoint, failures=1), http)
        for _ in range(3):
            with pytest.raises(TaskError, match="answered 400"):
                await api.transcribe([piece], JobOptions(), lambda _: None)
        (transcript,) = await api.transcribe([piece], JobOptions(), lambda _: None)

    assert transcript.text == "Yes."


async def test_a_key_that_is_not_accepted_opens_the_breaker(http: aiohttp.ClientSession, piece: Piece) -> None:
    async with Endpoint(answering(status(401))).listening() as endpoint:
        api = OpenAIApi(settings_for(endpoint, failures=2), http)
        for _ in range(3):
            with pytest.raises(TaskError):
                await api.transcribe([piece], JobOptions(), lambda _: None)

    assert endpoint.hits == 2


async def test_pieces_are_heard_in_order_and_progress_is_told(http: aiohttp.ClientSession, piece: Piece) -> None:
    later = Piece(path=piece.path, spans=((10.0, 14.0),))
    told: list[float] = []
    async with Endpoint(in_turn(saying("one"), saying("two"))).listening() as endpoint:
        heard = await OpenAIApi(settings_for(endpoint), http).transcribe([piece, later], JobOptions(), told.append)

    assert [one.segments[0].words[0].start for one in heard] == [0.0, 10.0]
    assert told == [0.5, 1.0]
