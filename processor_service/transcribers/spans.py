"""Transcribes a chunk span by span: only where somebody speaks, a minute or so at a time, each span between pauses.

Long silences are never shown to the model, which would make words up for them; memory and progress are those of a span.
"""

from collections.abc import Callable, Sequence

import msgspec

from processor_service.transcribers.protocol import SAMPLE_RATE_HZ, FloatArray, shifted
from shared.options import JobOptions
from shared.transcript import Transcript

Span = tuple[float, float]  # start and end in seconds
Transcribe = Callable[[FloatArray, JobOptions], Transcript]

MAX_SPAN_S = 90.0  # three of Whisper's windows: the padding of the last one costs little
MAX_SILENCE_S = 5.0  # a longer pause divides spans
PAD_S = 0.3  # of the silence around a span is kept: Whisper drops sentences that begin or end at the very edge


def plan_spans(speech: Sequence[Span], duration_s: float) -> list[Span]:
    """Group rising regions of speech into spans, with padding; one region alone may be longer than a span should be."""
    return _padded(_grouped(speech), duration_s)


def _grouped(speech: Sequence[Span]) -> list[Span]:
    spans: list[Span] = []
    for start_s, end_s in speech:
        if spans and end_s - spans[-1][0] <= MAX_SPAN_S and start_s - spans[-1][1] <= MAX_SILENCE_S:
            spans[-1] = (spans[-1][0], end_s)
        else:
            spans.append((start_s, end_s))
    return spans


def _padded(spans: Sequence[Span], duration_s: float) -> list[Span]:
    """Each widened, but no further than half-way to its neighbours and never beyond the audio."""
    padded: list[Span] = []
    for number, (start_s, end_s) in enumerate(spans):
        before_s = (spans[number - 1][1] + start_s) / 2 if number else 0.0
        after_s = (end_s + spans[number + 1][0]) / 2 if number + 1 < len(spans) else duration_s
        padded.append((max(before_s, start_s - PAD_S), min(after_s, end_s + PAD_S)))
    return padded


def transcribe_spans(
    transcribe: Transcribe,
    audio: FloatArray,
    spans: Sequence[Span],
    options: JobOptions,
    on_progress: Callable[[float], None],
) -> list[Transcript]:
    """A transcript for each span of 16 kHz mono, in the audio's time; the language of the first is that of all."""
    parts: list[Transcript] = []
    for start_s, end_s in spans:
        start, end = int(start_s * SAMPLE_RATE_HZ), int(end_s * SAMPLE_RATE_HZ)
        part = transcribe(audio[start:end], options)
        if options.language is None:
            options = msgspec.structs.replace(options, language=part.language)
        parts.append(shifted(part, start / SAMPLE_RATE_HZ))
        on_progress(len(parts) / len(spans))
    return parts
