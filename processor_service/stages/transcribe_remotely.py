"""Transcribes a chunk with providers: the child cuts and encodes it, the worker sends it, the child denoises meanwhile.

The child has no network and no keys. The worker processes no audio.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from processor_service.compute.messages import (
    DenoiseChunk,
    Denoised,
    EncodePieces,
    PiecesEncoded,
    ProcessChunk,
)
from processor_service.compute.resource_limits import TimeLimit
from processor_service.errors import TaskError
from processor_service.providers.failover import piece_lengths_s, transcribe_with_failover
from processor_service.providers.openai_api import OpenAIApi
from processor_service.stages.work import Work
from processor_service.telemetry.metrics import count_remote_transcription
from shared.schemas.transcript import Transcript

ENCODED = 0.1  # the progress of a chunk when its pieces are encoded
ANSWERED = 0.9  # when the last provider answered


async def ask_providers(
    work: Work,
    providers: Sequence[OpenAIApi],
    request: ProcessChunk,
    time_limit: TimeLimit,
    *,
    span: tuple[float, float],
) -> tuple[ProcessChunk, TaskError | None]:
    """Return the request with the providers' transcripts, or with their failure. It is denoised in both cases."""
    report = _part(work.report_progress, span)
    if request.options.transcribe_from == "denoised":
        request = await _denoised(work, request, time_limit)
    encode = EncodePieces(what=request, out_dir=str(work.scratch / "pieces"), longest_s=piece_lengths_s(providers))
    encoded = await work.ask(encode, PiecesEncoded, time_limit=time_limit)
    report(ENCODED)
    asking = _timed(
        request,
        transcribe_with_failover(providers, encoded.channels, request.options, _part(report, (ENCODED, ANSWERED))),
    )
    answer, request = await _both(asking, _denoised(work, request, time_limit))
    if isinstance(answer, TaskError):
        return request, answer
    return msgspec.structs.replace(request, provider_transcripts=answer), None


async def _timed(
    request: ProcessChunk, asking: Coroutine[Any, Any, tuple[Transcript, ...] | TaskError]
) -> tuple[Transcript, ...] | TaskError:
    began_s = time.perf_counter()
    answer = await asking
    if not isinstance(answer, TaskError):
        count_remote_transcription(request.chunk, time.perf_counter() - began_s)
    return answer


async def _both(
    asking: Coroutine[Any, Any, tuple[Transcript, ...] | TaskError], denoising: Coroutine[Any, Any, ProcessChunk]
) -> tuple[tuple[Transcript, ...] | TaskError, ProcessChunk]:
    """Run both; when one raises, or the caller is cancelled, cancel both."""
    try:
        async with asyncio.TaskGroup() as group:
            asked, denoised = group.create_task(asking), group.create_task(denoising)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None  # the type of the error decides the outcome of the task
    return asked.result(), denoised.result()


async def _denoised(work: Work, request: ProcessChunk, time_limit: TimeLimit) -> ProcessChunk:
    """Denoise the chunk if requested, without reporting progress. Return the request marked as denoised."""
    if request.denoised_path is None or request.is_denoised:
        return request
    await work.ask(DenoiseChunk(what=request), Denoised, time_limit=time_limit, span=None)
    return msgspec.structs.replace(request, is_denoised=True)


def _part(report: Callable[[float], None], span: tuple[float, float]) -> Callable[[float], None]:
    """Map the progress of a step to its span of the whole."""
    return lambda fraction: report(span[0] + fraction * (span[1] - span[0]))
