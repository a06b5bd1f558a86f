"""Transcribes the core of a chunk file, channel by channel, and adds warnings about its sound."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import msgspec
import soundfile

from processor_service.audio.cross_talk import own_sound, silence
from processor_service.audio.find_speech import FINE, speech_regions
from processor_service.audio.join import FADE_S, half_fade_frames
from processor_service.audio.level import levelled
from processor_service.audio.load_mono import blocks_16k, load_mono_16k
from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import ProcessChunk
from processor_service.compute.stream_chunk import ChunkStream, SendWindow, ignore_window
from processor_service.transcribers.holes import Hole, HoleFiller, hole_warnings
from processor_service.transcribers.replacements import Replacements
from processor_service.transcribers.segments import main_language
from processor_service.transcribers.snap_times import snap_times, snapped
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Span, Transcriber, shifted
from processor_service.transcribers.transcriber import OnProgress as EngineProgress
from processor_service.transcribers.warnings import sound_warnings
from processor_service.transcribers.windows import MODEL_WINDOW_S, apart, plan_windows
from shared.schemas.options import JobOptions
from shared.schemas.transcript import EngineUse, ResultWarning, Segment, Transcript, WarningCode
from shared.unspaced import joined_text

CONTEXT_S = 2.0  # on both sides, for speech detection: it needs time to distinguish speech from a breath
OVERLAP_S = 4.0  # transcribed by both neighbours where the cut went through speech

OnProgress = Callable[[float], None]


class TranscribedSpan(msgspec.Struct, frozen=True, kw_only=True):
    """The span of a file to transcribe. Frames count from the start of the file."""

    path: Path
    start_frame: int
    end_frame: int
    start_s: float  # in the source's time
    is_end: bool  # the source ends here
    context_frames: int  # on both sides, as far as the file has them
    sample_rate_hz: int  # of the file


class Sound(msgspec.Struct, frozen=True, kw_only=True):
    """The 16 kHz mono of a span: of one channel, or of the mix of all."""

    channel: int | None
    whole: FloatArray  # with context
    lead: int  # samples of the context before
    audio: FloatArray  # without context


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
        part = _transcribe(transcriber, request, span, sound, _share(progress, number, len(channels)), stream)
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


def _core_span(chunk: ChunkFile) -> Span:
    return chunk.core_start_frame / chunk.sample_rate_hz, chunk.core_end_frame / chunk.sample_rate_hz


def _in_core(warnings: Sequence[ResultWarning], start_s: float, end_s: float) -> Iterator[ResultWarning]:
    """The warnings; missing speech that is in the overlap alone is left to the neighbour, which may have its text."""
    for one in warnings:
        if one.code != WarningCode.SPEECH_NOT_TRANSCRIBED or one.start is None or one.end is None:
            yield one
        elif one.start < end_s and one.end > start_s:
            yield msgspec.structs.replace(one, start=max(one.start, start_s), end=min(one.end, end_s))


def _transcribe(  # noqa: PLR0913, PLR0917 - one step of transcribe_chunk
    transcriber: Transcriber,
    request: ProcessChunk,
    span: TranscribedSpan,
    sound: Sound,
    progress: OnProgress,
    stream: ChunkStream,
) -> Transcript:
    audio = sound.audio
    duration_s = len(audio) / SAMPLE_RATE_HZ
    is_streamed = request.options.stream_windows and sound.channel is None  # channels are merged in order of time
    options = msgspec.structs.replace(request.options, stream_windows=is_streamed)
    if not transcriber.wants_speech_only:
        whole = (0.0, duration_s)
        return transcriber.transcribe(
            audio, [whole], options, threads=request.threads, on_progress=_both(progress, stream.add)
        )
    speech = speech_in(sound)
    heard = levelled(audio, speech)
    language, known = request.options.language, list[Segment]()

    def transcribe(windows: Sequence[Span], options: JobOptions, on_progress: EngineProgress) -> Transcript:
        text = transcriber.transcribe(heard, windows, options, threads=request.threads, on_progress=on_progress)
        return snap_times(text, speech)

    if options.detect_language_only:
        return transcribe(plan_windows(first_speech(speech), duration_s), options, lambda *_: None)

    def transcribe_holes(holes: Sequence[Hole]) -> Transcript:
        windows = [window for hole in holes for window in plan_windows(hole, duration_s)]
        in_language = msgspec.structs.replace(
            options, language=language, language_confidence=None, stream_windows=False
        )
        return transcribe(apart(windows), in_language, lambda *_: None)

    def add(segments: Sequence[Segment]) -> None:
        nonlocal language
        known.extend(segments)
        language = request.options.language or main_language(known)
        stream.add(filler.add(snapped(segments, speech)))

    filler = HoleFiller(speech, transcribe_holes)
    first = transcribe(plan_windows(speech, duration_s), options, _both(progress, add))
    language = first.language or request.options.language
    transcript = filler.end(first)
    warnings = (*hole_warnings(speech, transcript.segments), *sound_warnings(audio, speech, is_end=span.is_end))
    return msgspec.structs.replace(transcript, warnings=(*transcript.warnings, *warnings))


def _both(progress: OnProgress, add: Callable[[Sequence[Segment]], None]) -> EngineProgress:
    """Give the progress of an engine and its segments to two functions."""

    def on_progress(fraction: float, segments: Sequence[Segment]) -> None:
        progress(fraction)
        if segments:
            add(segments)

    return on_progress


def first_speech(speech: Sequence[Span], most_s: float = MODEL_WINDOW_S) -> list[Span]:
    """Return the regions of speech up to `most_s` of speech in all."""
    first: list[Span] = []
    for start_s, end_s in speech:
        if most_s <= 0:
            break
        first.append((start_s, min(end_s, start_s + most_s)))
        most_s -= end_s - start_s
    return first


def _share(progress: OnProgress, number: int, count: int) -> OnProgress:
    return lambda fraction: progress((number + fraction) / count)


def channels_of(request: ProcessChunk) -> Sequence[int | None]:
    """Return the channels to transcribe separately; None is the mix of all."""
    return range(request.chunk.channels) if request.options.channels == "separate" else (None,)


def span_to_transcribe(request: ProcessChunk, *, from_denoised: bool) -> TranscribedSpan:
    """Return the core of a chunk, with an overlap where it was cut in speech."""
    chunk = request.chunk
    path, lead_frames = Path(chunk.path), chunk.core_start_frame - chunk.file_start_frame
    if from_denoised and request.denoised_path is not None:  # begins half a fade before the core
        path = Path(request.denoised_path)
        lead_frames = min(lead_frames, half_fade_frames(FADE_S, chunk.sample_rate_hz))
    file_frames = soundfile.info(path).frames
    overlap = round(OVERLAP_S * chunk.sample_rate_hz)
    core_end = lead_frames + chunk.core_end_frame - chunk.core_start_frame
    start = max(0, lead_frames - overlap) if chunk.starts_in_speech else lead_frames
    end = min(file_frames, core_end + overlap) if chunk.ends_in_speech else core_end
    start_s = (chunk.core_start_frame - lead_frames + start) / chunk.sample_rate_hz
    return TranscribedSpan(
        path=path,
        start_frame=start,
        end_frame=end,
        start_s=start_s,
        is_end=core_end >= file_frames and not _is_cut(chunk, request.options),
        context_frames=round(CONTEXT_S * chunk.sample_rate_hz),
        sample_rate_hz=chunk.sample_rate_hz,
    )


def _is_cut(chunk: ChunkFile, options: JobOptions) -> bool:
    """Whether the chunk ends where the client wants the part to end, not where the recording ends."""
    end_s = options.part.end_s
    return end_s is not None and chunk.core_end_frame >= round(end_s * chunk.sample_rate_hz)


def load_sounds(span: TranscribedSpan, channels: Sequence[int | None]) -> Iterator[Sound]:
    """Load a span with its context, once for each channel. Separate channels are silent where others talk into them."""
    first, end = max(0, span.start_frame - span.context_frames), span.end_frame + span.context_frames
    lead, core_end = (
        round((frame - first) * SAMPLE_RATE_HZ / span.sample_rate_hz) for frame in (span.start_frame, span.end_frame)
    )
    kept = own_sound(blocks_16k(span.path, first, end)) if len(channels) > 1 else None
    for channel in channels:
        whole = load_mono_16k(span.path, first, end, channel=channel)
        if kept is not None and channel is not None:
            silence(whole, kept[:, channel])
        yield Sound(channel=channel, whole=whole, lead=lead, audio=whole[lead:core_end])


def speech_in(sound: Sound) -> list[Span]:
    """Return the speech regions of a sound's audio, in seconds from its start. Detection also reads the context."""
    lead_s, duration_s = sound.lead / SAMPLE_RATE_HZ, len(sound.audio) / SAMPLE_RATE_HZ
    regions = speech_regions(sound.whole, FINE)
    clipped = [(max(0.0, start_s - lead_s), min(duration_s, end_s - lead_s)) for start_s, end_s in regions]
    return [region for region in clipped if region[0] < region[1]]


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
