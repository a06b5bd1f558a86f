"""How much each speaker talks: times, turns, overlap and words."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schemas.transcript import Segment, Transcript, Turn, Word
from shared.speaker_statistics import speaker_statistics, with_statistics


def segment(speaker: str, start: float, end: float, *words: str) -> Segment:
    spoken = tuple(Word(word=word, start=start, end=end, confidence=1, speaker=speaker) for word in words)
    text = " ".join(words)
    return Segment(id=0, start=start, end=end, text=text, speaker=speaker, confidence=1, no_speech_prob=0, words=spoken)


def transcript(*segments: Segment, turns: tuple[Turn, ...] = ()) -> Transcript:
    speakers = sorted({one.speaker for one in segments if one.speaker} | {one.speaker for one in turns})
    return Transcript(text="", language="en", duration=60, segments=segments, speakers=tuple(speakers), turns=turns)


def turn(speaker: str, start: float, end: float) -> Turn:
    return Turn(speaker=speaker, start=start, end=end)


def test_talk_time_turns_overlap_and_words() -> None:
    ann, ben = speaker_statistics(
        transcript(
            segment("Ann", 0, 10, "one", "two", "three"),
            segment("Ben", 9, 12, "four"),
            turns=(turn("Ann", 0, 10), turn("Ben", 9, 12), turn("Ann", 20, 22)),
        )
    )
    assert (ann.talk_time, ann.turns, ann.longest_turn, ann.overlap) == (12, 2, 10, 1)
    assert (ben.talk_time, ben.turns, ben.longest_turn, ben.overlap) == (3, 1, 3, 1)
    assert (ann.share, ben.share) == (0.8, 0.2)
    assert (ann.words, ann.words_per_minute, ben.words, ben.words_per_minute) == (3, 15.0, 1, 20.0)


def test_overlapping_turns_of_one_speaker_count_once() -> None:
    (ann,) = speaker_statistics(transcript(turns=(turn("Ann", 0, 5), turn("Ann", 3, 8), turn("Ann", 8, 9))))
    assert (ann.talk_time, ann.turns, ann.longest_turn, ann.overlap, ann.share) == (9, 2, 8, 0, 1)
    assert (ann.words, ann.words_per_minute) == (None, None)


def test_without_turns_segments_say_who_talks() -> None:
    ann, ben = speaker_statistics(
        transcript(
            segment("Ann", 0, 2, "a"), segment("Ben", 2, 3, "b"), segment("Ann", 3.5, 5, "c"), segment("Ann", 8, 9, "d")
        )
    )
    assert (ann.talk_time, ann.turns, ann.longest_turn) == (6, 2, 5)
    assert (ben.talk_time, ben.turns) == (1, 1)


def test_transcripts_without_speakers_have_no_statistics() -> None:
    plain = Transcript(text="", language=None, duration=0, segments=())
    assert b"speaker_statistics" not in msgspec.json.encode(plain)
    assert with_statistics(plain).speaker_statistics == ()


TURNS = st.lists(
    st.tuples(st.sampled_from("ABC"), st.integers(0, 50), st.integers(1, 20)).map(
        lambda one: turn(one[0], one[1], one[1] + one[2])
    ),
    max_size=12,
)


@given(TURNS)
def test_times_agree_with_a_count_second_by_second(turns: list[Turn]) -> None:
    talking = [{one.speaker for one in turns if one.start <= second < one.end} for second in range(80)]
    found = speaker_statistics(transcript(turns=tuple(turns)))
    for one in found:
        own = [speakers for speakers in talking if one.speaker in speakers]
        assert one.talk_time == len(own)
        assert one.overlap == sum(len(speakers) > 1 for speakers in own)
        assert one.longest_turn <= one.talk_time
    assert sum(one.share for one in found) == pytest.approx(1 if found else 0, abs=0.001)
