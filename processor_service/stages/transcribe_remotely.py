"""Has remote engines transcribe a chunk: the child cuts and encodes it, the worker asks, the child denoises meanwhile.

The child has neither network nor keys; the worker does no maths.
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
from processor_service.compute.resource_limits import Patience
from processor_service.errors import TaskError
from processor_service.providers.failover import limits_of, transcribe_remotely
from processor_service.providers.openai_api import OpenAIApi
from processor_service.stages.work import Work
from processor_service.telemetry.metrics import count_heard_remotely
from shared.schemas.transcript import Transcript

ENCODED = 0.1  # of the progress of a chunk, when its pieces are ready
ANSWERED = 0.9  # when the last answer is there


async def hear_remotely(
    work: Work, providers: Sequence[OpenAIApi], request: ProcessChunk, patience: Patience, *, span: tuple[float, float]
) -> tuple[ProcessChunk, TaskError | None]:
    """The request with what remote engines understood, or with why they did not; denoising is done in any case."""
    report = _part(work.report_progress, span)
    if request.options.transcribe_from == "denoised":
        request = await _denoised(work, request, patience)
    encode = EncodePieces(what=request, out_dir=str(work.scratch / "pieces"), longest_s=limits_of(providers))
    encoded = await work.ask(encode, PiecesEncoded, patience=patience)
    report(ENCODED)
    asking = _timed(
        request, transcribe_remotely(providers, encoded.channels, request.options, _part(report, (ENCODED, ANSWERED)))
    )
    heard, request = await _both(asking, _denoised(work, request, patience))
    if isinstance(heard, TaskError):
        return request, heard
    return msgspec.structs.replace(request, heard=heard), None


async def _timed(
    request: ProcessChunk, asking: Coroutine[Any, Any, tuple[Transcript, ...] | TaskError]
) -> tuple[Transcript, ...] | TaskError:
    began_s = time.perf_counter()
    heard = await asking
    if not isinstance(heard, TaskError):
        count_heard_remotely(request.chunk, time.perf_counter() - began_s)
    return heard


async def _both(
    asking: Coroutine[Any, Any, tuple[Transcript, ...] | TaskError], denoising: Coroutine[Any, Any, ProcessChunk]
) -> tuple[tuple[Transcript, ...] | TaskError, ProcessChunk]:
    """What comes of both; when one raises, or somebody cancels this, neither goes on."""
    try:
        async with asyncio.TaskGroup() as group:
            asked, denoised = group.create_task(asking), group.create_task(denoising)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None  # what it means for the task depends on its type
    return asked.result(), denoised.result()


async def _denoised(work: Work, request: ProcessChunk, patience: Patience) -> ProcessChunk:
    """The same request once its denoised file is there, if it wants one; nothing is shown of the progress."""
    if request.denoised_path is None or request.is_denoised:
        return request
    await work.slot.ask(DenoiseChunk(what=request), Denoised, patience=patience)
    return msgspec.structs.replace(request, is_denoised=True)


def _part(report: Callable[[float], None], span: tuple[float, float]) -> Callable[[float], None]:
    """Reports progress of a step as the span of the whole that it is."""
    return lambda fraction: report(span[0] + fraction * (span[1] - span[0]))
