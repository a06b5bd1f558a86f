"""The sound to transcribe of a chunk file: the core with an overlap, as 16 kHz mono, once for each channel."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import soundfile

from processor_service.audio.cross_talk import own_sound, silence
from processor_service.audio.find_speech import FINE, speech_regions
from processor_service.audio.join import FADE_S, half_fade_frames
from processor_service.audio.load_mono import blocks_16k, load_mono_16k
from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import ProcessChunk
from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Span
from shared.schemas.options import JobOptions

CONTEXT_S = 2.0  # on both sides, for speech detection: it needs time to distinguish speech from a breath
OVERLAP_S = 4.0  # transcribed by both neighbours where the cut went through speech


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
