"""Speech without words is transcribed again or gets a warning; noise does not become words."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from processor_service.transcribers.holes import (
    FEWEST_PIECES,
    MIN_SPEECH_S,
    PIECE_EVERY_S,
    Hole,
    HoleFiller,
    Transcribe,
    divided,
    hole_warnings,
    untranscribed,
)
from processor_service.transcribers.transcriber import Span, word
from shared.schemas.transcript import Segment, Transcript, WarningCode

Spoken = dict[float, str]  # the text of the sentence that starts at a time


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


def fill_holes(transcript: Transcript, speech: Sequence[Span], transcribe: Transcribe) -> Transcript:
    return HoleFiller(speech, transcribe).end(transcript)


def _telling(spoken: Spoken, longest_s: float) -> Callable[[Sequence[Hole]], Transcript]:
    """A model that writes all sentences of windows up to `longest_s`, and the first sentence of longer ones."""

    def transcribe(holes: Sequence[Hole]) -> Transcript:
        segments = []
        for hole in holes:
            inside = [start_s for start_s in spoken if hole[0][0] <= start_s < hole[-1][1]]
            given = inside if hole[-1][1] - hole[0][0] <= longest_s else inside[:1]
            segments += [_segment(spoken[start_s], start_s) for start_s in given]
        return _transcript(*segments)

    return transcribe


def test_an_omitted_sentence_is_inserted() -> None:
    speech = [(0.0, 3.0), (4.5, 10.0), (10.5, 14.0)]
    requested: list[Sequence[Hole]] = []

    def transcribe(holes: Sequence[Hole]) -> Transcript:
        requested.append(holes)
        return _transcript(_segment("c d e f g h", 4.5))

    filled = fill_holes(_transcript(_segment("a b c", 0.0), _segment("i j k", 10.5)), speech, transcribe)

    assert requested == [[((4.5, 10.0),)]]
    assert filled.text == "a b c c d e f g h i j k"
    assert [segment.id for segment in filled.segments] == [0, 1, 2]


def test_equal_sentences_are_all_found_by_a_model_that_tells_the_first_of_a_long_window() -> None:
    starts_s = [3.5 * number for number in range(6)]
    spoken = dict.fromkeys(starts_s, "the air is")
    speech = [(start_s, start_s + 3) for start_s in starts_s]
    transcribe = _telling(spoken, longest_s=7.0)

    filled = fill_holes(transcribe([tuple(speech)]), speech, transcribe)

    assert filled.text == " ".join(["the air is"] * 6)
    assert hole_warnings(speech, filled.segments) == ()


def test_words_at_the_edges_of_a_hole_are_not_doubled() -> None:
    speech = [(0.0, 10.0)]

    filled = fill_holes(
        _transcript(_segment("x a b", 0.0), _segment("g h i", 7.0)),
        speech,
        lambda _: _transcript(_segment("b c d e f g", 2.0)),
    )

    assert filled.text == "x a b c d e f g h i"


def test_a_lone_word_that_the_aligner_put_into_a_hole_is_replaced_by_the_sentence() -> None:
    before = _transcript(_segment("a b c", 0.0), _segment("now", 6.0), _segment("as all books", 10.0))

    filled = fill_holes(before, [(0.0, 13.0)], lambda _: _transcript(_segment("d e f g h now", 3.5)))

    assert filled.text == "a b c d e f g h now as all books"


def test_a_lone_word_stays_if_nothing_better_is_found() -> None:
    before = _transcript(_segment("a b c", 0.0), _segment("now", 6.0), _segment("as all books", 10.0))

    filled = fill_holes(before, [(0.0, 13.0)], lambda _: _transcript(_segment("hm", 5.0)))

    assert filled.text == "a b c now as all books"


def test_segments_of_low_confidence_are_not_inserted() -> None:
    before = _transcript(_segment("a b c", 0.0))

    filled = fill_holes(before, [(0.0, 9.0)], lambda _: _transcript(_segment("thank you so much", 4.0, 0.3)))

    assert filled == before
    (warning,) = hole_warnings([(0.0, 9.0)], filled.segments)
    assert (warning.code, warning.start, warning.end) == (WarningCode.SPEECH_NOT_TRANSCRIBED, 2.9, 9.0)


def test_an_omitted_sentence_is_inserted_before_the_end_is_known() -> None:
    speech = [(0.0, 3.0), (4.5, 10.0), (10.5, 14.0), (15.0, 18.0)]
    spoken = {0.0: "a b c", 5.0: "d e f g h", 10.5: "i j k", 15.0: "l m n"}
    first, _, third, fourth = (_segment(text, start_s) for start_s, text in spoken.items())
    filler = HoleFiller(speech, _telling(spoken, 30.0))

    early = filler.add([first, third])
    filled = filler.end(_transcript(first, third, fourth))

    assert [one.text for one in early] == ["a b c", "d e f g h", "i j k"]
    assert filled.text == "a b c d e f g h i j k l m n"
    assert [one.id for one in filled.segments] == [0, 1, 2, 3]


def test_a_segment_of_few_words_waits_for_the_next_one() -> None:
    filler = HoleFiller([(0.0, 8.0)], _telling({}, 30.0))

    assert [one.text for one in filler.add([_segment("a b c", 0.0), _segment("yes", 3.5)])] == ["a b c"]
    assert [one.text for one in filler.add([_segment("d e f", 4.5)])] == ["yes", "d e f"]


def test_a_complete_transcript_is_unchanged() -> None:
    def transcribe(holes: Sequence[Hole]) -> Transcript:
        raise AssertionError(holes)

    whole = _transcript(_segment("a b", 0.0))
    speech = [(0.0, 1.9 + MIN_SPEECH_S - 0.1)]

    assert fill_holes(whole, speech, transcribe) == whole
    assert hole_warnings(speech, whole.segments) == ()


def test_a_model_that_hears_nothing_is_asked_a_bounded_number_of_times() -> None:
    speech = [(4.0 * number, 4.0 * number + 3) for number in range(200)]
    asked: list[Hole] = []

    def transcribe(holes: Sequence[Hole]) -> Transcript:
        asked.extend(holes)
        return _transcript()

    filled = fill_holes(_transcript(), speech, transcribe)

    assert len(asked) == len(set(asked)) <= FEWEST_PIECES + 600 / PIECE_EVERY_S
    assert [(one.start, one.end) for one in hole_warnings(speech, filled.segments)] == [(0.0, speech[-1][1])]


def test_a_hole_is_divided_at_its_longest_pauses() -> None:
    hole = ((0.0, 3.0), (3.2, 6.0), (7.0, 9.0), (9.1, 9.2))

    assert list(divided(hole, 30.0)) == [hole]
    assert list(divided(hole, 6.0)) == [hole[:2], hole[2:]]
    assert list(divided(hole, 2.0)) == [hole[:1], hole[1:2], hole[2:3]]  # the last is too short for speech


def _spans(steps: list[float]) -> list[Span]:
    edges = [sum(steps[: n + 1]) for n in range(len(steps) // 2 * 2)]
    return list(zip(edges[::2], edges[1::2], strict=True))


Steps = st.lists(st.floats(0.1, 5.0), min_size=2, max_size=20)


@given(Steps, Steps)
def test_holes_are_speech_without_words(speech_steps: list[float], word_steps: list[float]) -> None:
    speech, words = _spans(speech_steps), _spans(word_steps)
    segments = [_of_three_words(span) for span in words]

    for start_s, end_s in [region for hole in untranscribed(speech, segments) for region in hole]:
        assert any(first <= start_s < end_s <= last for first, last in speech)
        assert all(end_s <= first or last <= start_s for first, last in words)


@given(Steps, Steps, st.floats(0, 1), st.integers(0, 3), st.randoms(use_true_random=False))
def test_every_second_of_speech_is_in_a_word_or_a_warning(
    speech_steps: list[float], word_steps: list[float], confidence: float, given: int, dice: Random
) -> None:
    speech = _spans(speech_steps)

    def transcribe(holes: Sequence[Hole]) -> Transcript:
        regions = sorted(dice.sample([one for hole in holes for one in hole], min(given, sum(map(len, holes)))))
        return _transcript(*(_of_three_words(region, confidence) for region in regions))

    filled = fill_holes(_transcript(*map(_of_three_words, _spans(word_steps))), speech, transcribe)

    words = [(one.start, one.end) for segment in filled.segments for one in segment.words]
    warned = [(one.start or 0.0, one.end or 0.0) for one in hole_warnings(speech, filled.segments)]
    assert words == sorted(words)
    for gap in pairwise([-1.0, *(middle for one in words for middle in one), 1e6]):
        silent = [(max(one[0], gap[0]), min(one[1], gap[1])) for one in speech]
        spans = [one for one in silent if one[0] < one[1] and not _is_covered(one, [*words, *warned])]
        assert sum(end_s - start_s for start_s, end_s in spans) < MIN_SPEECH_S + 0.01


@given(Steps, Steps, st.integers(0, 3), st.integers(0, 20), st.randoms(use_true_random=False))
def test_segments_that_are_filled_early_stay_as_they_are(
    speech_steps: list[float], word_steps: list[float], given: int, early: int, dice: Random
) -> None:
    speech, segments = _spans(speech_steps), [_of_three_words(span) for span in _spans(word_steps)]

    def transcribe(holes: Sequence[Hole]) -> Transcript:
        regions = sorted(dice.sample([one for hole in holes for one in hole], min(given, sum(map(len, holes)))))
        return _transcript(*map(_of_three_words, regions))

    filler = HoleFiller(speech, transcribe)
    first = [*filler.add(segments[: early // 2]), *filler.add(segments[early // 2 : early])]
    filled = filler.end(_transcript(*segments))

    assert [one.words for one in filled.segments[: len(first)]] == [one.words for one in first]
    words = [one for segment in filled.segments for one in segment.words]
    assert [one.start for one in words] == sorted(one.start for one in words)


def _is_covered(span: Span, covers: Sequence[Span]) -> bool:
    return any(start_s - 0.002 <= span[0] and span[1] <= end_s + 0.002 for start_s, end_s in covers)


def _of_three_words(span: Span, confidence: float = 0.9) -> Segment:
    third_s = (span[1] - span[0]) / 3
    words = tuple(
        word(one, span[0] + n * third_s, span[0] + (n + 1) * third_s, confidence) for n, one in enumerate("abc")
    )
    return Segment(
        id=0,
        start=words[0].start,
        end=words[-1].end,
        text="a b c",
        confidence=confidence,
        no_speech_prob=0.0,
        words=words,
    )
