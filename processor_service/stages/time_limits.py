"""The time limits of compute steps: a base, plus time for the audio. A child that takes longer is killed."""

from processor_service.compute.resource_limits import TimeLimit
from processor_service.settings import ProcessorSettings

# Intelligible speech is seldom compressed below 16 kbit/s. A source below that gets less time than its length would
# give, still many times what it needs.
DENSEST_BYTES_PER_S = 2000
# Decoding and encoding are faster than the slowest transcription by this factor: by default twice as fast as the audio.
# The largest format, eight channels at 384 kHz, took a quarter of the audio's duration on a shared core.
CODEC_SPEEDUP = 20


def splitting(settings: ProcessorSettings, *, source_bytes: int, skipped_s: float = 0.0) -> TimeLimit:
    """For decoding a source of unknown length and writing its chunks; a reply announces each chunk.

    `skipped_s` is before the wanted part. It may have to be decoded, too.
    """
    skipped_s = min(source_bytes / DENSEST_BYTES_PER_S, skipped_s)
    longest_s = min(source_bytes / DENSEST_BYTES_PER_S, skipped_s + settings.max_audio_seconds)
    between_chunks_s = skipped_s + settings.chunk_threshold_s + settings.chunk_s
    return TimeLimit(_codec_s(settings, longest_s), idle_s=_codec_s(settings, between_chunks_s))


def processing(settings: ProcessorSettings, *, audio_s: float) -> TimeLimit:
    """For transcribing and denoising `audio_s` of audio."""
    return TimeLimit(settings.stage_timeout_s + audio_s / settings.slowest_speed)


def joining(settings: ProcessorSettings, *, audio_s: float) -> TimeLimit:
    """For joining the denoised chunks of `audio_s` of audio."""
    return TimeLimit(_codec_s(settings, audio_s))


def _codec_s(settings: ProcessorSettings, audio_s: float) -> float:
    return settings.stage_timeout_s + audio_s / (settings.slowest_speed * CODEC_SPEEDUP)
