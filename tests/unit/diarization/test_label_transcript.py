"""Words and segments are labelled by their times."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from processor_service.diarization.label_transcript import label_transcript
from shared.schemas.transcript import Segment, Transcript, Turn, Word

A, B = "SPEAKER_00", "SPEAKER_01"
TURNS = (Turn(speaker=A, start=0.0, end=2.0), Turn(speaker=B, start=2.5, end=5.0), Turn(speaker=A, start=4.5, end=6.0))


def _segment(*words: tuple[str, float, float], text: str | None = None) -> Segment:
    made = tuple(Word(word=one, start=start, end=end, confidence=0.9) for one, start, end in words)
    return Segment(
        id=0,
        start=made[0].start,
        end=made[-1].end,
        text=text or " ".join(one.word for one in made),
        confidence=0.9,
        no_speech_prob=0.0,
        words=made,
    )


def _labelled(*segments: Segment, turns: Sequence[Turn] = TURNS) -> tuple[Segment, ...]:
    transcript = Transcript(text="", language="en", duration=10.0, segments=segments)
    return label_transcript(transcript, turns).segments


def test_a_segment_is_split_where_the_speaker_changes() -> None:
    first, second = _labelled(_segment(("Are", 0.5, 0.9), ("you?", 1.0, 1.5), ("Yes,", 2.6, 3.0), ("I", 3.1, 3.3)))

    assert (first.text, first.speaker, first.start, first.end) == ("Are you?", A, 0.5, 1.5)
    assert (second.text, second.speaker, second.start, second.end) == ("Yes, I", B, 2.6, 3.3)
    assert [segment.id for segment in (first, second)] == [0, 1]
    assert [word.speaker for word in first.words + second.words] == [A, A, B, B]


def test_text_without_spaces_is_cut() -> None:
    first, second = _labelled(_segment(("你", 1.0, 1.2), ("好", 1.3, 1.5), ("吗", 3.0, 3.2), text="你好吗"))

    assert (first.text, second.text) == ("你好", "吗")


def test_a_word_outside_all_turns_gets_the_nearest_speaker() -> None:
    turns = (Turn(speaker=A, start=1.0, end=2.0), Turn(speaker=B, start=4.0, end=5.0))
    words = [("before", 0.1, 0.5), ("near", 2.3, 2.6), ("nearer", 3.5, 3.8), ("after", 7.0, 8.0)]

    labels = [word.speaker for segment in _labelled(_segment(*words), turns=turns) for word in segment.words]
    assert labels == [A, A, B, B]


def test_a_word_in_two_turns_gets_the_previous_speaker() -> None:
    (segment,) = _labelled(_segment(("well", 4.0, 4.4), ("indeed", 4.6, 4.9)))

    assert segment.speaker == B


def test_a_segment_without_words_gets_the_speaker_with_the_most_time() -> None:
    whole = Segment(id=0, start=1.5, end=4.5, text="…", confidence=0.9, no_speech_prob=0.0)

    (segment,) = _labelled(whole)
    assert segment.speaker == B


def test_without_turns_the_transcript_is_unchanged() -> None:
    segment = _segment(("alone", 1.0, 2.0))

    assert _labelled(segment, turns=()) == (segment,)


@given(
    st.lists(
        st.tuples(st.sampled_from("ABC"), st.floats(0, 100), st.floats(0.1, 30)).map(
            lambda one: Turn(speaker=one[0], start=one[1], end=one[1] + one[2])
        ),
        min_size=1,
        max_size=12,
    ),
    st.lists(st.floats(0, 120), min_size=1, max_size=12),
)
def test_every_word_gets_the_speaker_of_its_largest_overlap(turns: list[Turn], starts: list[float]) -> None:
    words = [(f"w{number}", start, start + 0.5) for number, start in enumerate(sorted(starts))]

    labelled = [word for segment in _labelled(_segment(*words), turns=turns) for word in segment.words]

    assert [word.word for word in labelled] == [text for text, _, _ in words]
    for word in labelled:
        overlaps = {name: _overlap(word, turns, name) for name in {turn.speaker for turn in turns}}
        if max(overlaps.values()) > 0.001:
            assert overlaps[word.speaker or ""] >= max(overlaps.values()) - 0.002


def _overlap(word: Word, turns: Sequence[Turn], name: str) -> float:
    return sum(max(0.0, min(word.end, one.end) - max(word.start, one.start)) for one in turns if one.speaker == name)
