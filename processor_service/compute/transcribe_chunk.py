"""Transcribes the core of a chunk file, channel by channel, and adds warnings about its sound."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

import msgspec

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.load_sounds import Sound, channels_of, load_sounds, span_to_transcribe
from processor_service.compute.messages import ProcessChunk
from processor_service.compute.stream_chunk import ChunkStream, SendWindow, ignore_window
from processor_service.compute.transcribe_sound import transcribe_sound
from processor_service.transcribers.replacements import Replacements
from processor_service.transcribers.transcriber import Span, Transcriber, shifted
from shared.schemas.options import JobOptions
from shared.schemas.transcript import EngineUse, ResultWarning, Transcript, WarningCode
from shared.unspaced import joined_text

OnProgress = Callable[[float], None]


def transcribe_chunk(
    transcriber: Transcriber,
    request: ProcessChunk,
    progress: OnProgress,
    *,
    from_denoised: bool,
    send_window: SendWindow = ignore_window,
) -> Transcript:
    """Return the transcript of the core, in the source's time, with the overlap beyond a cut through speech.

    `send_window` gets the text of the core while it is transcribed, if the options ask for it.
    """
    span = span_to_transcribe(request, from_denoised=from_denoised)
    channels, (start_s, end_s) = channels_of(request), _core_span(request.chunk)
    replacements = Replacements(request.options.replacements)
    stream = ChunkStream(send_window, (start_s, end_s), span.start_s, replacements)
    parts = []
    for number, sound in enumerate(load_sounds(span, channels)):
        part = transcribe_sound(
            transcriber,
            sound,
            _sound_options(request.options, sound),
            threads=request.threads,
            is_end=span.is_end,
            on_fraction=_share(progress, number, len(channels)),
            on_segments=stream.add,
        )
        parts.append(part if sound.channel is None else as_channel(part, sound.channel))
    merged = replacements.of_transcript(merge_channels(parts))
    in_source = shifted(merged, span.start_s)
    if request.options.stream_windows:
        stream.end(in_source.segments)
    use = EngineUse(engine=merged.engine, model=merged.model, start=round(start_s, 3), end=round(end_s, 3))
    return msgspec.structs.replace(
        in_source,
        warnings=tuple(_in_core(in_source.warnings, start_s, end_s)),
        duration=end_s - start_s,
        engines=(use,) if merged.engine else (),
        transcribed_from=request.options.transcribe_from,
    )


def _sound_options(options: JobOptions, sound: Sound) -> JobOptions:
    """Separate channels are not streamed: their segments are merged in order of time."""
    is_streamed = options.stream_windows and sound.channel is None
    return msgspec.structs.replace(options, stream_windows=is_streamed)


def _core_span(chunk: ChunkFile) -> Span:
    return chunk.core_start_frame / chunk.sample_rate_hz, chunk.core_end_frame / chunk.sample_rate_hz


def _in_core(warnings: Sequence[ResultWarning], start_s: float, end_s: float) -> Iterator[ResultWarning]:
    """The warnings; missing speech that is in the overlap alone is left to the neighbour, which may have its text."""
    for one in warnings:
        if one.code != WarningCode.SPEECH_NOT_TRANSCRIBED or one.start is None or one.end is None:
            yield one
        elif one.start < end_s and one.end > start_s:
            yield msgspec.structs.replace(one, start=max(one.start, start_s), end=min(one.end, end_s))


def _share(progress: OnProgress, number: int, count: int) -> OnProgress:
    return lambda fraction: progress((number + fraction) / count)


def as_channel(transcript: Transcript, channel: int) -> Transcript:
    """Label the transcript of a channel, counted from 0: the channel is one speaker."""
    name = f"SPEAKER_{channel:02}"
    segments = tuple(msgspec.structs.replace(segment, channel=channel, speaker=name) for segment in transcript.segments)
    return msgspec.structs.replace(transcript, segments=segments)


def merge_channels(parts: Sequence[Transcript]) -> Transcript:
    """Merge the transcripts of at least one channel; order segments by their start."""
    if len(parts) == 1:
        return parts[0]
    in_order = sorted(chain.from_iterable(part.segments for part in parts), key=lambda one: (one.start, one.end))
    most = max(parts, key=lambda part: len(part.text))
    return msgspec.structs.replace(
        most,
        text=joined_text(segment.text for segment in in_order),
        segments=tuple(msgspec.structs.replace(segment, id=number) for number, segment in enumerate(in_order)),
        warnings=tuple(dict.fromkeys(chain.from_iterable(part.warnings for part in parts))),
    )
