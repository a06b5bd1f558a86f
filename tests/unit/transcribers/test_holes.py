"""Speech without words is transcribed again; noise does not become words."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from processor_service.transcribers.holes import MIN_SPEECH_S, fill_holes, untranscribed
from processor_service.transcribers.transcriber import Span, word
from shared.schemas.transcript import Segment, Transcript


def _segment(text: str, start_s: float, confidence: float = 0.9) -> Segment:
    """A word a second."""
    words = tuple(word(one, start_s + n, start_s + n + 0.9, confidence) for n, one in enumerate(text.split()))
    return Segment(
        id=0,
        start=words[0].start,
        end=words[-1].end,
        text=text,
        confidence=confidence,
        no_speech_prob=0.0,
        words=words,
    )


def _transcript(*segments: Segment) -> Transcript:
    text = " ".join(segment.text for segment in segments)
    return Transcript(text=text, language="en", duration=30.0, segments=segments)


def test_an_omitted_sentence_is_inserted() -> None:
    speech = [(0.0, 2.0), (2.5, 8.0), (8.5, 10.0)]
    requested: list[Sequence[Span]] = []

    def transcribe(holes: Sequence[Span]) -> Transcript:
        requested.append(holes)
        return _transcript(_segment("c d e f g h", 2.5))

    filled = fill_holes(_transcript(_segment("a b", 0.0), _segment("i j", 8.5)), speech, transcribe)

    assert requested == [[(2.5, 8.0)]]
    assert filled.text == "a b c d e f g h i j"
    assert [segment.id for segment in filled.segments] == [0, 1, 2]


def test_words_at_the_edges_of_a_hole_are_not_doubled() -> None:
    speech = [(0.0, 10.0)]

    filled = fill_holes(
        _transcript(_segment("a b", 0.0), _segment("g h", 6.0)),
        speech,
        lambda _: _transcript(_segment("b c d e f g", 1.0)),
    )

    assert filled.text == "a b c d e f g h"


def test_segments_of_low_confidence_are_not_inserted() -> None:
    before = _transcript(_segment("a b", 0.0))

    assert fill_holes(before, [(0.0, 9.0)], lambda _: _transcript(_segment("thank you", 4.0, 0.3))) == before


def test_complete_and_empty_transcripts_are_unchanged() -> None:
    def transcribe(holes: Sequence[Span]) -> Transcript:
        raise AssertionError(holes)

    whole, silent = _transcript(_segment("a b", 0.0)), _transcript()
    assert fill_holes(whole, [(0.0, 2.0 + MIN_SPEECH_S - 0.2)], transcribe) == whole
    assert fill_holes(silent, [(0.0, 30.0)], transcribe) == silent


@given(st.lists(st.floats(0.1, 5.0), min_size=2, max_size=20), st.lists(st.floats(0.1, 5.0), min_size=2, max_size=20))
def test_holes_are_speech_without_words(speech_steps: list[float], word_steps: list[float]) -> None:
    def spans(steps: list[float]) -> list[Span]:
        edges = [sum(steps[: n + 1]) for n in range(len(steps) // 2 * 2)]
        return list(zip(edges[::2], edges[1::2], strict=True))

    speech, words = spans(speech_steps), spans(word_steps)

    for start_s, end_s in untranscribed(speech, words):
        assert any(first <= start_s < end_s <= last for first, last in speech)
        assert all(end_s <= first or last <= start_s for first, last in words)
