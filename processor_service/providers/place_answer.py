"""Convert a provider's transcript of one piece to a transcript with times in the chunk. Pure."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from processor_service.providers.plan_pieces import Timeline, length_s
from processor_service.providers.read_answer import ProviderSegment, ProviderTranscript, ProviderWord
from processor_service.transcribers.segments import RecognizedWindow, TimedWord, segments_of
from processor_service.transcribers.transcriber import Span, word
from shared.schemas.languages import find_language
from shared.schemas.options import JobOptions
from shared.schemas.transcript import ResultWarning, Segment, Transcript, WarningCode, Word
from shared.unspaced import joined_text

DEFAULT_PROBABILITY = 1.0  # where the provider sends none


def transcript_of(transcript: ProviderTranscript, spans: Sequence[Span], options: JobOptions) -> Transcript:
    """The transcript of a piece. Times are in order and within the spans of the piece."""
    segments = tuple(_segments(transcript, spans))
    has_words = all(one.words for one in segments)
    return Transcript(
        text=joined_text(one.text for one in segments),
        language="en" if options.task == "translate" else find_language(transcript.language or "") or options.language,
        duration=spans[-1][1],
        segments=segments,
        warnings=() if has_words or not options.word_timestamps else (_WORD_TIMES_MISSING,),
    )


_WORD_TIMES_MISSING = ResultWarning(
    code=WarningCode.WORD_TIMES_MISSING, message="Word times were requested, but the provider sent none."
)


def _segments(transcript: ProviderTranscript, spans: Sequence[Span]) -> Iterator[Segment]:
    timeline = Timeline(spans)
    words = [(one, timeline.word(one.start_s, one.end_s)) for one in transcript.words]
    if words and not transcript.segments:
        yield from _of_words_alone(words, spans)
        return
    segments = transcript.segments or _whole(transcript, spans)
    groups = _grouped(words, segments)
    end_s = spans[0][0]
    for number, (segment, group) in enumerate(zip(segments, groups, strict=True)):
        following = next((one[0][1][0] for one in groups[number + 1 :] if one), spans[-1][1])
        span = _span_of(group) or _between(timeline.stretch(segment.start_s, segment.end_s), end_s, following)
        yield _segment(number, segment, group, span)
        end_s = span[1]


def _whole(transcript: ProviderTranscript, spans: Sequence[Span]) -> Sequence[ProviderSegment]:
    """The text as one segment, when the provider sent no segments."""
    return (ProviderSegment(text=transcript.text, start_s=0.0, end_s=length_s(spans)),) if transcript.text else ()


PlacedWord = tuple[ProviderWord, Span]


def _grouped(words: Sequence[PlacedWord], segments: Sequence[ProviderSegment]) -> list[list[PlacedWord]]:
    """The words of each segment: those whose middles are between its start and the next segment's."""
    starts_s = [one.start_s for one in segments]
    groups: list[list[PlacedWord]] = [[] for _ in segments]
    for one, span in words:
        before = bisect_right(starts_s, (one.start_s + one.end_s) / 2)
        groups[max(0, before - 1)].append((one, span))
    return groups


def _span_of(group: Sequence[PlacedWord]) -> Span | None:
    return (group[0][1][0], group[-1][1][1]) if group else None


def _between(span: Span, earliest_s: float, latest_s: float) -> Span:
    start_s = min(max(span[0], earliest_s), latest_s)
    return start_s, min(max(span[1], start_s), latest_s)


def _segment(number: int, segment: ProviderSegment, group: Sequence[PlacedWord], span: Span) -> Segment:
    known = [one.probability for one, _ in group if one.probability is not None]
    mean = sum(known) / len(known) if known else DEFAULT_PROBABILITY
    confidence = mean if segment.probability is None else segment.probability
    return Segment(
        id=number,
        start=round(span[0], 3),
        end=round(span[1], 3),
        text=segment.text,
        confidence=round(confidence, 4),
        no_speech_prob=round(segment.no_speech_probability or 0.0, 4),
        words=tuple(_word(one, placed, confidence) for one, placed in group),
    )


def _word(recognized: ProviderWord, span: Span, confidence: float) -> Word:
    return word(recognized.text, *span, confidence if recognized.probability is None else recognized.probability)


def _of_words_alone(words: Sequence[PlacedWord], spans: Sequence[Span]) -> list[Segment]:
    timed = [
        TimedWord(f" {one.text}", *span, DEFAULT_PROBABILITY if one.probability is None else one.probability)
        for one, span in words
    ]
    return segments_of([RecognizedWindow(span=(spans[0][0], spans[-1][1]), words=timed, no_speech_probability=0.0)])
