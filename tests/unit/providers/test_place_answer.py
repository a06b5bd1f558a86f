"""A provider's transcript of a piece becomes a transcript with times in the chunk."""

import itertools
from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from processor_service.providers.place_answer import transcript_of
from processor_service.providers.read_answer import ProviderSegment, ProviderTranscript, ProviderWord, read_answer
from processor_service.transcribers.transcriber import Span
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript, WarningCode
from tests.support.providers.provider import verbose_answer

SPANS = ((10.0, 12.0), (20.0, 28.0))


def _transcript(answer: object, options: JobOptions | None = None, spans: Sequence[Span] = SPANS) -> Transcript:
    duration_s = sum(end_s - start_s for start_s, end_s in spans)
    return transcript_of(
        read_answer(msgspec.json.encode(answer), duration_s=duration_s), spans, options or JobOptions()
    )


def test_words_get_times_of_the_chunk_and_the_text_keeps_its_punctuation() -> None:
    transcript = _transcript(verbose_answer(["and", "so", "my", "fellow", "americans"]))

    (segment,) = transcript.segments
    assert transcript.text == segment.text == "And so my fellow americans."
    assert [one.start for one in segment.words] == [10.0, 10.5, 11.0, 11.5, 20.0]
    assert (segment.start, segment.end) == (10.0, 20.4)
    assert (segment.confidence, segment.no_speech_prob) == (0.9048, 0.02)
    assert {one.confidence for one in segment.words} == {0.9048}
    assert (transcript.language, transcript.warnings) == ("en", ())


def test_words_belong_to_the_segment_at_their_time() -> None:
    segments = [
        {"text": "One two.", "start": 0.0, "end": 1.0},
        {"text": "Uh", "start": 1.0, "end": 1.1},
        {"text": "three.", "start": 1.2, "end": 2.0},
    ]
    words = [{"word": word, "start": at, "end": at + 0.4} for word, at in (("One", 0.0), ("two", 0.5), ("three", 1.1))]

    transcript = _transcript({"text": "", "segments": segments, "words": words})

    assert [[word.word for word in one.words] for one in transcript.segments] == [["One", "two"], [], ["three"]]
    assert [(one.start, one.end) for one in transcript.segments] == [(10.0, 10.9), (11.0, 11.1), (11.1, 11.5)]


def test_text_without_times_is_one_segment_with_a_warning() -> None:
    transcript = _transcript({"text": "Just text."})

    (segment,) = transcript.segments
    assert (segment.text, segment.start, segment.end, segment.words) == ("Just text.", 10.0, 28.0, ())
    assert [one.code for one in transcript.warnings] == [WarningCode.WORD_TIMES_MISSING]


def test_no_warning_if_the_job_wants_no_word_times() -> None:
    assert _transcript({"text": "Just text."}, JobOptions(word_timestamps=False)).warnings == ()


def test_words_without_segments_make_segments() -> None:
    words = [{"word": word, "start": at, "end": at + 0.4} for word, at in (("one", 0.0), ("two", 0.5), ("three", 5.0))]

    transcript = _transcript({"text": "One two, three!", "words": words})

    assert [one.text for one in transcript.segments] == ["one two", "three"]


def test_an_answer_without_text_is_an_empty_transcript() -> None:
    transcript = _transcript({"text": " ", "segments": []})

    assert (transcript.text, transcript.segments, transcript.warnings) == ("", (), ())


def test_a_translation_is_english() -> None:
    answer = {"text": "Hello", "language": "german"}

    assert _transcript(answer, JobOptions(task="translate", language="de")).language == "en"


times = st.floats(0, 10)


@given(st.lists(st.tuples(times, times), max_size=20), st.lists(st.tuples(times, times), max_size=8))
def test_times_are_in_order_within_the_spans(words: list[Span], segments: list[Span]) -> None:
    answer = ProviderTranscript(
        text="x",
        language=None,
        segments=tuple(ProviderSegment(text="x", start_s=a, end_s=max(a, b)) for a, b in sorted(segments)),
        words=tuple(ProviderWord("x", one[0], one[1], None) for one in _apart(words)),
    )

    transcript = transcript_of(answer, SPANS, JobOptions())

    found = [one for segment in transcript.segments for one in segment.words]
    assert len(found) == len(words)
    for spans in ([(one.start, one.end) for one in found], [(one.start, one.end) for one in transcript.segments]):
        assert all(SPANS[0][0] <= start_s <= end_s <= SPANS[-1][1] for start_s, end_s in spans)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def _apart(spans: list[Span]) -> list[Span]:
    edges = sorted(edge for span in spans for edge in span)
    return list(zip(edges[::2], edges[1::2], strict=True))
