"""How long a step of the work may take: a base, and more for more audio. A child that takes longer is killed."""

from processor_service.compute.resource_limits import Patience
from processor_service.settings import ProcessorSettings

# Speech that is to be understood is seldom compressed further than to 16 kbit/s. What is gets less time than it would
# otherwise, but still many times what it needs.
DENSEST_BYTES_PER_S = 2000
# Decoding and encoding are so much faster than the slowest transcription: with its default, twice as fast as the audio.
# The largest format, eight channels at 384 kHz, took a quarter of the audio's time on a core that was shared.
MOVING_SPEEDUP = 20


def splitting(settings: ProcessorSettings, *, source_bytes: int) -> Patience:
    """For decoding a source of unknown length and writing it in chunks, each of which is told of when it is written."""
    longest_s = min(source_bytes / DENSEST_BYTES_PER_S, settings.max_audio_seconds)
    between_chunks_s = settings.chunk_threshold_s + settings.chunk_s
    return Patience(_moving_s(settings, longest_s), silence_s=_moving_s(settings, between_chunks_s))


def processing(settings: ProcessorSettings, *, audio_s: float) -> Patience:
    """For transcribing and denoising so much audio."""
    return Patience(settings.stage_timeout_s + audio_s / settings.slowest_speed)


def joining(settings: ProcessorSettings, *, audio_s: float) -> Patience:
    """For joining the denoised chunks of so much audio."""
    return Patience(_moving_s(settings, audio_s))


def _moving_s(settings: ProcessorSettings, audio_s: float) -> float:
    return settings.stage_timeout_s + audio_s / (settings.slowest_speed * MOVING_SPEEDUP)
