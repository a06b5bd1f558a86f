"""What the client should know of the text: where it repeats itself, where the model was not sure. Pure; any engine.

The text itself is kept: a person may know better than a threshold.
"""

from collections.abc import Iterator, Sequence

from shared.schemas.transcript import ResultWarning, Segment, WarningCode

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
