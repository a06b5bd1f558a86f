"""Who transcribes a chunk: the first provider that serves the job and succeeds. The local engine comes after this.

A chunk is done by one provider as a whole; its place in the result says by whom.
"""

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
    """The providers of a process, in the order in which they are asked."""
    async with open_session() as http:
        yield tuple(OpenAIApi(one, http) for one in settings)


def serving(providers: Sequence[OpenAIApi], options: JobOptions) -> tuple[OpenAIApi, ...]:
    """Those that may do a job: all, unless it names a model; then those that have it."""
    return tuple(one for one in providers if options.model in (None, one.settings.model))


def limits_of(providers: Sequence[OpenAIApi]) -> tuple[float, ...]:
    """The longest pieces that they take, in seconds, each once: sets of pieces are in this order."""
    return tuple(dict.fromkeys(one.settings.longest_piece_s for one in providers))


async def transcribe_remotely(
    providers: Sequence[OpenAIApi],
    channels: Sequence[ChannelPieces],
    options: JobOptions,
    on_progress: Callable[[float], None],
) -> tuple[Transcript, ...] | TaskError:
    """A transcript for each channel, or why the last of at least one provider has none.

    The channels hold a set of pieces for each of `limits_of(providers)`.
    """
    failure: TaskError | None = None
    limits_s = limits_of(providers)
    for provider in providers:
        which = limits_s.index(provider.settings.longest_piece_s)
        try:
            return await _by_one(provider, channels, which, options, on_progress)
        except TaskError as error:
            log.warning("provider_failed", provider=provider.name, code=error.code, error=error.message)
            failure = error
    if failure is None:
        raise ValueError("there is no provider to ask")
    return failure


async def _by_one(
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
    """The pieces of a channel as one; nobody was asked where there was no speech."""
    if not parts:
        return Transcript(text="", language=options.language, duration=duration_s, segments=())
    merged = merge_transcripts(parts, duration_s=duration_s)
    return msgspec.structs.replace(merged, engine=provider.name, model=provider.settings.model)
