"""What the client should know of the sound itself: clipped, very quiet, cut off while somebody spoke. Pure."""

from collections.abc import Iterator, Sequence

import numpy as np

from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Span
from shared.schemas.transcript import ResultWarning, Segment, WarningCode

# What the client should know of the text: where it repeats itself, where the model was not sure. Pure; any engine.
#
# The text itself is kept: a person may know better than a threshold.

LONGEST_LOOP = 12  # words of a phrase that is looked for
MOST_REPEATS = 4  # of a phrase in a row are speech; people do say "no, no, no, no"
LEAST_WORDS = 8  # in all: shorter repetitions are speech too
UNSURE_BELOW = 0.4  # confidence of a segment

Unit = tuple[str, float, float]  # a word with its start and end in seconds


def text_warnings(segments: Sequence[Segment]) -> tuple[ResultWarning, ...]:
    """Warnings for rising segments, one for each stretch."""
    return (*_repetitions(segments), *_low_confidence(segments))


def _repetitions(segments: Sequence[Segment]) -> Iterator[ResultWarning]:
    units = [unit for segment in segments for unit in _units(segment)]
    words = [text for text, _, _ in units]
    at = 0
    while at < len(words):
        length = _loop_length(words, at)
        if length:
            message = "The text repeats itself here; what was said may be something else."
            start_s, end_s = units[at][1], units[at + length - 1][2]
            yield ResultWarning(code=WarningCode.REPETITION, message=message, start=start_s, end=end_s)
        at += max(1, length)


def _units(segment: Segment) -> list[Unit]:
    if segment.words:
        return [(word.word.casefold().strip(".,!?"), word.start, word.end) for word in segment.words]
    return [(text.casefold().strip(".,!?"), segment.start, segment.end) for text in segment.text.split()]


def _loop_length(words: Sequence[str], start: int) -> int:
    """How many words from `start` on are one phrase said over and over; 0 when they are not."""
    longest = 0
    for period in range(1, LONGEST_LOOP + 1):
        end = start + period
        while end < len(words) and words[end] == words[end - period]:
            end += 1
        length = end - start
        if length >= LEAST_WORDS and length // period > MOST_REPEATS:
            longest = max(longest, length)
    return longest


def _low_confidence(segments: Sequence[Segment]) -> Iterator[ResultWarning]:
    message = "The model was not sure of these words."
    start_s: float | None = None
    end_s = 0.0
    for segment in segments:
        if segment.confidence < UNSURE_BELOW:
            start_s, end_s = segment.start if start_s is None else start_s, segment.end
        elif start_s is not None:
            yield ResultWarning(code=WarningCode.LOW_CONFIDENCE, message=message, start=start_s, end=end_s)
            start_s = None
    if start_s is not None:
        yield ResultWarning(code=WarningCode.LOW_CONFIDENCE, message=message, start=start_s, end=end_s)


BLOCK_S = 10.0  # clipping is judged over
NEAR_PEAK = 0.9
# Of the samples of a block, how many lie near its peak: some 0.01 % of speech, 0.006 % of noise, percents where a
# converter or an amplifier clipped, whatever was done to the level afterwards.
CLIPPED_SHARE = 0.005
QUIET_DBFS = -55.0  # of speech; a usual recording has -15 to -30
CUT_S = 0.1  # before the end: a speaker who still speaks there was cut off …
LEAST_SPEECH_S = 0.3  # … unless it is a short sound of something else …
FALLEN_DB = 8.0  # … or has become softer by this much


def sound_warnings(audio: FloatArray, speech: Sequence[Span], *, is_end: bool) -> tuple[ResultWarning, ...]:
    """Warnings for 16 kHz mono with rising regions of speech; times are of the audio. None where nobody speaks."""
    if not speech:
        return ()
    return tuple(_warnings(audio, speech, is_end=is_end))


def _warnings(audio: FloatArray, speech: Sequence[Span], *, is_end: bool) -> Iterator[ResultWarning]:
    start_s, end_s = speech[0][0], speech[-1][1]
    if clipped := _clipped(audio, speech):
        message = "The recording is clipped: it was too loud for what recorded it."
        yield ResultWarning(code=WarningCode.CLIPPED, message=message, start=clipped[0], end=clipped[1])
    level_dbfs = _level_dbfs(audio, speech)
    if level_dbfs < QUIET_DBFS:
        message = "The speech is very quiet; words may be wrong or missing."
        yield ResultWarning(code=WarningCode.QUIET, message=message, start=round(start_s, 3), end=round(end_s, 3))
    if is_end and _is_cut_off(audio, speech[-1], level_dbfs):
        message = "The recording ends while somebody speaks."
        yield ResultWarning(code=WarningCode.CUT_OFF, message=message, start=round(end_s, 3), end=round(end_s, 3))


def _is_cut_off(audio: FloatArray, last: Span, level_dbfs: float) -> bool:
    """Whether speech goes on to the very end, as loud as it was."""
    duration_s = len(audio) / SAMPLE_RATE_HZ
    if last[1] < duration_s - CUT_S or last[1] - last[0] < LEAST_SPEECH_S:
        return False
    return _level_dbfs(audio, [(duration_s - CUT_S, duration_s)]) > level_dbfs - FALLEN_DB


def _clipped(audio: FloatArray, speech: Sequence[Span]) -> Span | None:
    """From the first to the last block of speech that is clipped."""
    clipped = [span for span in _blocks(speech) if _is_clipped(_piece(audio, *span))]
    return (round(clipped[0][0], 3), round(clipped[-1][1], 3)) if clipped else None


def _blocks(speech: Sequence[Span]) -> Iterator[Span]:
    for start_s, end_s in speech:
        at_s = start_s
        while at_s < end_s:
            yield at_s, min(at_s + BLOCK_S, end_s)
            at_s += BLOCK_S


def _is_clipped(piece: FloatArray) -> bool:
    levels = np.abs(piece)
    peak = float(levels.max(initial=0.0))
    return peak > 0 and float(np.mean(levels > NEAR_PEAK * peak)) > CLIPPED_SHARE


def _level_dbfs(audio: FloatArray, spans: Sequence[Span]) -> float:
    pieces = [_piece(audio, *span) for span in spans]
    energy = sum(float(piece @ piece) for piece in pieces) / max(1, sum(map(len, pieces)))
    return 10 * float(np.log10(max(energy, 1e-20)))


def _piece(audio: FloatArray, start_s: float, end_s: float) -> FloatArray:
    return audio[int(start_s * SAMPLE_RATE_HZ) : int(end_s * SAMPLE_RATE_HZ)]
