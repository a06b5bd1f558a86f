"""Chunks fail over from provider to provider and then to the local engine, with a real child process and real HTTP."""

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest
import pytest_asyncio
import soundfile

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.pool import ComputePool
from processor_service.errors import ChildCrashError, PermanentError, TaskError
from processor_service.models.cache import ModelCache
from processor_service.providers.failover import serving
from processor_service.providers.openai_api import OpenAIApi
from processor_service.settings import ProcessorSettings
from processor_service.stages.chunk import transcribe_and_denoise
from processor_service.stages.work import Work
from processor_service.tasks.claim import ClaimedTask
from processor_service.transcribers.merge import merge_transcripts
from processor_service.transcribers.transcriber import FloatArray
from shared.blobs.blob_store import BlobStore
from shared.ids import new_id
from shared.schemas.failures import FailureCode
from shared.schemas.options import JobOptions
from shared.schemas.states import TaskKind
from shared.schemas.transcript import Transcript, WarningCode
from shared.secret import Secret
from tests.support.clips import JFK
from tests.support.providers.provider import form_of, in_turn, settings_for, transcribing
from tests.support.webhooks.endpoint import Endpoint, Script, answering, status
from tests.system.compute.conftest import Model, Pool

pytestmark = pytest.mark.process

RATE_HZ = 16_000
Process = Callable[..., Coroutine[Any, Any, Transcript]]
Provide = Callable[..., Awaitable[tuple[OpenAIApi, Endpoint]]]


@pytest_asyncio.fixture
async def pool(started: Pool) -> AsyncIterator[ComputePool]:
    async with started() as pool:
        yield pool


@pytest_asyncio.fixture
async def provide(http: aiohttp.ClientSession) -> AsyncIterator[Provide]:
    """Start a provider whose endpoint follows a script until the test ends."""
    async with AsyncExitStack() as stack:

        async def provide_one(name: str, script: Script, **settings: Any) -> tuple[OpenAIApi, Endpoint]:
            endpoint = await stack.enter_async_context(Endpoint(script).listening())
            return OpenAIApi(settings_for(endpoint, name, **settings), http), endpoint

        yield provide_one


@pytest.fixture
def process(pool: ComputePool, model: Model, storage_url: str, tmp_path: Path) -> Process:
    """Transcribe a span of a file, in seconds, as one chunk."""

    async def process_one(
        path: Path,
        span_s: tuple[float, float],
        providers: list[OpenAIApi],
        *,
        ordinal: int = 0,
        transcriber: str = "scripted",
        **options: object,
    ) -> Transcript:
        folder = tmp_path / str(new_id())
        folder.mkdir()
        settings = ProcessorSettings(
            database_url=Secret("postgres:"),
            redis_url=Secret("redis:"),
            storage_url=storage_url,
            transcriber=transcriber,
            providers=tuple(one.settings for one in providers),
            model=str(model.folder),
        )
        async with pool.slot() as slot:
            work = Work(
                task=_task(msgspec.convert(options, JobOptions)),
                slot=slot,
                blobs=BlobStore(storage_url),
                models=ModelCache(tmp_path),
                settings=settings,
                providers=tuple(providers),
                scratch=folder,
                report_progress=lambda _: None,
            )
            work.derived.open(1 << 30)
            transcript, denoised = await transcribe_and_denoise(work, _chunk(path, span_s, ordinal))
        assert (denoised is not None and denoised.is_file()) == work.task.options.denoise
        return transcript

    return process_one


def _chunk(path: Path, span_s: tuple[float, float], ordinal: int) -> ChunkFile:
    file = soundfile.info(path)
    return ChunkFile(
        path=str(path),
        ordinal=ordinal,
        file_start_frame=0,
        core_start_frame=round(span_s[0] * file.samplerate),
        core_end_frame=round(span_s[1] * file.samplerate),
        sample_rate_hz=file.samplerate,
        channels=file.channels,
    )


def _task(options: JobOptions) -> ClaimedTask:
    return ClaimedTask(
        id=new_id(),
        job_id=new_id(),
        generation=1,
        kind=TaskKind.CHUNK,
        ordinal=0,
        lease_token=1,
        attempts=0,
        crashes=0,
        input=None,
        options=options,
        tenant="",
        chunk_count=1,
        chunk_generation=1,
        warnings=(),
    )


def _engines(transcript: Transcript) -> list[tuple[str, str, float, float]]:
    return [(one.engine, one.model, one.start, one.end) for one in transcript.engines]


def _first_word_at(transcript: Transcript) -> float:
    return transcript.segments[0].words[0].start


async def test_chunks_fail_over_and_the_result_names_the_engine_of_each(process: Process, provide: Provide) -> None:
    acme, at_acme = await provide(
        "acme", in_turn(transcribing("acme"), answering(status(503)), answering(status(400)), answering(status(502)))
    )
    spare, at_spare = await provide(
        "spare", in_turn(transcribing("spare"), answering(status(200, body=b"<html>")), answering())
    )
    spans_s = [(0.0, 3.0), (3.0, 6.0), (6.0, 8.5), (8.5, 11.0)]

    chunks = [
        await process(JFK.path, span_s, [acme, spare], ordinal=number, denoise=number % 2 == 0)
        for number, span_s in enumerate(spans_s)
    ]
    merged = merge_transcripts(chunks, duration_s=11.0)

    assert [one.text for one in chunks] == ["Acme.", "Spare.", "tick tick", "tick tick"]
    assert _engines(merged) == [
        ("acme", "whisper-9", 0.0, 3.0),
        ("spare", "whisper-9", 3.0, 6.0),
        ("scripted", "scripted", 6.0, 11.0),
    ]
    assert (at_acme.hits, at_spare.hits) == (4, 3)
    assert [3.0 <= _first_word_at(chunks[1]) < 6.0, _first_word_at(chunks[3])] == [True, 8.5]
    assert [one.code for one in chunks[0].warnings] == [WarningCode.SPEECH_NOT_TRANSCRIBED]  # of 3 s, one word


async def test_a_provider_with_an_open_breaker_is_skipped(process: Process, provide: Provide) -> None:
    acme, at_acme = await provide("acme", answering(status(429, "Retry-After: 600")))
    spare, at_spare = await provide("spare", transcribing("spare"))

    for _ in range(2):
        assert (await process(JFK.path, (0.0, 3.0), [acme, spare], denoise=False)).text == "Spare."

    assert (at_acme.hits, at_spare.hits) == (1, 2)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (status(503, "Retry-After: 33"), (True, FailureCode.PROVIDER_UNAVAILABLE, 33)),
        (status(400), (False, FailureCode.PROVIDER_REFUSED, None)),
    ],
    ids=["transient", "permanent"],
)
async def test_without_a_local_engine_the_task_fails_with_the_last_error(
    process: Process, provide: Provide, answer: bytes, failure: tuple[bool, FailureCode, float | None]
) -> None:
    acme, _ = await provide("acme", answering(status(403)))
    spare, _ = await provide("spare", answering(answer))

    with pytest.raises(TaskError, match="The provider spare") as raised:
        await process(JFK.path, (0.0, 3.0), [acme, spare], transcriber="none", denoise=False)

    assert (raised.value.transient, raised.value.code, raised.value.retry_after_s) == failure


async def test_a_model_that_no_engine_has_is_unavailable(process: Process, provide: Provide) -> None:
    acme, at_acme = await provide("acme", transcribing("acme"))

    with pytest.raises(PermanentError, match="'whisper-8'") as raised:
        await process(JFK.path, (0.0, 3.0), [acme], transcriber="none", model="whisper-8")

    assert (raised.value.code, at_acme.hits) == (FailureCode.MODEL_UNAVAILABLE, 0)


async def test_a_job_that_names_a_model_goes_to_providers_with_that_model(provide: Provide) -> None:
    small, _ = await provide("small", transcribing(), model="small")
    large, _ = await provide("large", transcribing(), model="large")

    assert serving([small, large], JobOptions()) == (small, large)
    assert serving([small, large], JobOptions(model="large")) == (large,)
    assert serving([small, large], JobOptions(model="medium")) == ()


async def test_no_provider_is_asked_about_silence(process: Process, provide: Provide, tmp_path: Path) -> None:
    path = tmp_path / "noise.wav"
    soundfile.write(path, 0.01 * np.random.default_rng(0).standard_normal(3 * RATE_HZ), RATE_HZ)
    acme, at_acme = await provide("acme", transcribing("acme"))

    transcript = await process(path, (0.0, 3.0), [acme], denoise=False)

    assert (transcript.text, transcript.engines, at_acme.hits) == ("", (), 0)


async def test_denoised_audio_is_sent_if_the_job_says_so(process: Process, provide: Provide) -> None:
    acme, endpoint = await provide("acme", transcribing("acme"))

    sent = []
    for source in ("original", "denoised"):
        transcript = await process(JFK.path, (0.0, 3.0), [acme], transcribe_from=source)
        assert (transcript.text, transcript.transcribed_from) == ("Acme.", source)
        sent.append(_audio_of(endpoint))

    assert len(sent[0]) == pytest.approx(len(sent[1]), rel=0.2)
    assert float(np.abs(sent[1]).mean()) < float(np.abs(sent[0]).mean())


def _audio_of(endpoint: Endpoint) -> FloatArray:
    (_, content) = form_of(endpoint.received[-1])[-1]
    samples, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    return np.asarray(samples, np.float32)


async def test_each_channel_is_one_request(process: Process, provide: Provide, tmp_path: Path) -> None:
    samples, _ = soundfile.read(JFK.path, dtype="float32")
    path = tmp_path / "call.wav"
    soundfile.write(path, np.stack([samples, samples[::-1]], axis=1), RATE_HZ)
    acme, endpoint = await provide("acme", in_turn(transcribing("left"), transcribing("right")))

    transcript = await process(path, (0.0, 3.0), [acme], denoise=False, channels="separate")

    assert {one.channel: one.text for one in transcript.segments} == {0: "Left.", 1: "Right."}
    assert endpoint.hits == 2


def _hanging(reached: asyncio.Event) -> Script:
    async def script(_: Endpoint, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        reached.set()
        await reader.read()

    return script


async def test_a_cancelled_task_sends_no_more_requests(process: Process, provide: Provide) -> None:
    reached = asyncio.Event()
    acme, endpoint = await provide("acme", _hanging(reached))
    spare, at_spare = await provide("spare", transcribing("spare"))
    task = asyncio.create_task(process(JFK.path, (0.0, 3.0), [acme, spare]))
    await asyncio.wait_for(reached.wait(), 60)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    await endpoint.ended()
    assert at_spare.hits == 0


async def test_a_child_process_that_dies_during_a_request_is_a_crash(
    process: Process, provide: Provide, pool: ComputePool
) -> None:
    """The child denoises meanwhile; its first run takes seconds."""
    reached = asyncio.Event()
    acme, endpoint = await provide("acme", _hanging(reached))
    task = asyncio.create_task(process(JFK.path, (0.0, 3.0), [acme]))
    await asyncio.wait_for(reached.wait(), 60)
    (child,) = pool._children
    os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(ChildCrashError):
        await task
    await endpoint.ended()
