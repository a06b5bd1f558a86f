"""Warnings about a transcript (repetitions, low confidence) and its audio (clipped, quiet, cut off). Pure.

The text is not changed: a person may judge better than a threshold.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from processor_service.transcribers.transcriber import SAMPLE_RATE_HZ, FloatArray, Span
from shared.schemas.transcript import ResultWarning, Segment, WarningCode

MAX_LOOP_WORDS = 12  # of a phrase that is searched for
MAX_REPEATS = 4  # consecutive ones are normal: "no, no, no, no"
MIN_WORDS = 8  # in total; shorter repetitions are normal, too
UNSURE_BELOW = 0.4  # confidence of a segment

Unit = tuple[str, float, float]  # a word with its start and end in seconds


def text_warnings(segments: Sequence[Segment]) -> tuple[ResultWarning, ...]:
    """Warnings for segments in order, one for each span."""
    return (*_repetitions(segments), *_low_confidence(segments))


def _repetitions(segments: Sequence[Segment]) -> Iterator[ResultWarning]:
    units = [unit for segment in segments for unit in _units(segment)]
    words = [text for text, _, _ in units]
    at = 0
    while at < len(words):
        length = _loop_length(words, at)
        if length:
            message = "The text repeats itself here; the speech may be different."
            start_s, end_s = units[at][1], units[at + length - 1][2]
            yield ResultWarning(code=WarningCode.REPETITION, message=message, start=start_s, end=end_s)
        at += max(1, length)


def _units(segment: Segment) -> list[Unit]:
    if segment.words:
        return [(word.word.casefold().strip(".,!?"), word.start, word.end) for word in segment.words]
    return [(text.casefold().strip(".,!?"), segment.start, segment.end) for text in segment.text.split()]


def _loop_length(words: Sequence[str], start: int) -> int:
    """The number of words from `start` that repeat one phrase; 0 if there is no repetition."""
    longest = 0
    for period in range(1, MAX_LOOP_WORDS + 1):
        end = start + period
        while end < len(words) and words[end] == words[end - period]:
            end += 1
        length = end - start
        if length >= MIN_WORDS and length // period > MAX_REPEATS:
            longest = max(longest, length)
    return longest


def _low_confidence(segments: Sequence[Segment]) -> Iterator[ResultWarning]:
    message = "The model has low confidence in these words."
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


BLOCK_S = 10.0  # length over which clipping is measured
NEAR_PEAK = 0.9
# The fraction of a block's samples near its peak: about 0.01 % in speech, 0.006 % in noise, several percent after
# clipping, independent of later changes of the level.
CLIPPED_SHARE = 0.005
QUIET_DBFS = -55.0  # of speech; usual recordings have -15 to -30
CUT_S = 0.1  # speech this close to the end was cut off, …
MIN_SPEECH_S = 0.3  # … unless it is shorter, and so another sound, …
FALLEN_DB = 8.0  # … or softer than the other speech by this much


def sound_warnings(audio: FloatArray, speech: Sequence[Span], *, is_end: bool) -> tuple[ResultWarning, ...]:
    """Warnings for 16 kHz mono with regions of speech in order; times are in the audio. None without speech."""
    if not speech:
        return ()
    return tuple(_warnings(audio, speech, is_end=is_end))


def _warnings(audio: FloatArray, speech: Sequence[Span], *, is_end: bool) -> Iterator[ResultWarning]:
    start_s, end_s = speech[0][0], speech[-1][1]
    if clipped := _clipped(audio, speech):
        message = "The recording is clipped: the input level was too high."
        yield ResultWarning(code=WarningCode.CLIPPED, message=message, start=clipped[0], end=clipped[1])
    level_dbfs = _level_dbfs(audio, speech)
    if level_dbfs < QUIET_DBFS:
        message = "The speech is very quiet; words may be wrong or missing."
        yield ResultWarning(code=WarningCode.QUIET, message=message, start=round(start_s, 3), end=round(end_s, 3))
    if is_end and _is_cut_off(audio, speech[-1], level_dbfs):
        message = "The recording ends during speech."
        yield ResultWarning(code=WarningCode.CUT_OFF, message=message, start=round(end_s, 3), end=round(end_s, 3))


def _is_cut_off(audio: FloatArray, last: Span, level_dbfs: float) -> bool:
    """Whether speech continues to the end without becoming softer."""
    duration_s = len(audio) / SAMPLE_RATE_HZ
    if last[1] < duration_s - CUT_S or last[1] - last[0] < MIN_SPEECH_S:
        return False
    return _level_dbfs(audio, [(duration_s - CUT_S, duration_s)]) > level_dbfs - FALLEN_DB


def _clipped(audio: FloatArray, speech: Sequence[Span]) -> Span | None:
    """The span from the first to the last clipped block of speech."""
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
    """The samples of a span without their mean: an offset of the microphone is not loud."""
    samples = audio[int(start_s * SAMPLE_RATE_HZ) : int(end_s * SAMPLE_RATE_HZ)]
    return samples - samples.mean() if len(samples) else samples
