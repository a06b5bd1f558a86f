"""Failover: the first provider that serves the job and succeeds transcribes the chunk. The local engine is last."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec

from processor_service.errors import TaskError
from processor_service.providers.openai_api import OpenAIApi
from processor_service.providers.plan_pieces import ChannelPieces
from processor_service.providers.post_audio import open_session
from processor_service.providers.provider_settings import ProviderSettings
from processor_service.transcribers.merge import merge_transcripts
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript
from shared.telemetry.logs import Log

log = Log(__name__)


@asynccontextmanager
async def open_providers(settings: Sequence[ProviderSettings]) -> AsyncIterator[tuple[OpenAIApi, ...]]:
    """The providers of a process, in the order of the settings."""
    async with open_session() as http:
        yield tuple(OpenAIApi(one, http) for one in settings)


def serving(providers: Sequence[OpenAIApi], options: JobOptions) -> tuple[OpenAIApi, ...]:
    """The providers that may do a job: all, or those with the model that the job names."""
    return tuple(one for one in providers if options.model in (None, one.settings.model))


def piece_lengths_s(providers: Sequence[OpenAIApi]) -> tuple[float, ...]:
    """The maximum piece lengths of the providers, each once. Sets of pieces have this order."""
    return tuple(dict.fromkeys(one.settings.longest_piece_s for one in providers))


async def transcribe_with_failover(
    providers: Sequence[OpenAIApi],
    channels: Sequence[ChannelPieces],
    options: JobOptions,
    on_progress: Callable[[float], None],
) -> tuple[Transcript, ...] | TaskError:
    """Return a transcript of each channel, or the error of the last provider. There is at least one provider.

    Each channel has a set of pieces for each of `piece_lengths_s(providers)`.
    """
    failure: TaskError | None = None
    lengths_s = piece_lengths_s(providers)
    for provider in providers:
        which = lengths_s.index(provider.settings.longest_piece_s)
        try:
            return await _transcribe(provider, channels, which, options, on_progress)
        except TaskError as error:
            log.warning("provider_failed", provider=provider.name, code=error.code, error=error.message)
            failure = error
    if failure is None:
        raise ValueError("there is no provider")
    return failure


async def _transcribe(
    provider: OpenAIApi,
    channels: Sequence[ChannelPieces],
    which: int,
    options: JobOptions,
    on_progress: Callable[[float], None],
) -> tuple[Transcript, ...]:
    transcripts = []
    for number, channel in enumerate(channels):
        progress = _part(on_progress, number, len(channels))
        parts = await provider.transcribe(channel.sets[which], options, progress)
        transcripts.append(_joined(parts, provider, options, channel.duration_s))
    return tuple(transcripts)


def _part(progress: Callable[[float], None], number: int, count: int) -> Callable[[float], None]:
    return lambda fraction: progress((number + fraction) / count)


def _joined(parts: Sequence[Transcript], provider: OpenAIApi, options: JobOptions, duration_s: float) -> Transcript:
    """The transcript of a channel from those of its pieces. A channel without speech has no pieces."""
    if not parts:
        return Transcript(text="", language=options.language, duration=duration_s, segments=())
    merged = merge_transcripts(parts, duration_s=duration_s)
    return msgspec.structs.replace(merged, engine=provider.name, model=provider.settings.model)
