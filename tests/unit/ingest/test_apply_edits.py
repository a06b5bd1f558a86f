"""Corrections laid over a transcript: properties that hold for all of them, and examples."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_service.edits.apply import apply_edits, replace_parts
from ingest_service.edits.fit import fit_edits, move_edits
from shared.formats.render import render
from shared.schemas.transcript import NamedSpeaker, Segment, Transcript, Turn, Word
from shared.schemas.transcript_edits import SegmentEdit, TranscriptEdits, WordEdit
from shared.speaker_names import with_names
from shared.speaker_statistics import with_statistics
from shared.subtitles.cue_size import CueSize

WORDS = st.text("abcäß我们é-'", min_size=1, max_size=6)
LABELS = ("SPEAKER_00", "SPEAKER_01")


def segment(number: int, start: float, words: Iterable[str], speaker: str | None = None, gap: str = " ") -> Segment:
    """A segment of words of half a second each."""
    said = tuple(
        Word(word=word, start=start + at / 2, end=start + at / 2 + 0.5, confidence=0.25, speaker=speaker)
        for at, word in enumerate(words)
    )
    return Segment(
        id=number,
        start=start,
        end=said[-1].end,
        text=gap.join(word.word for word in said),
        speaker=speaker,
        confidence=0.5,
        no_speech_prob=0.0,
        words=said,
    )


def transcript(*segments: Segment, turns: tuple[Turn, ...] = ()) -> Transcript:
    speakers = {one.speaker for one in segments if one.speaker} | {turn.speaker for turn in turns}
    return Transcript(
        text=" ".join(one.text for one in segments),
        language="en",
        duration=100.0,
        segments=segments,
        speakers=tuple(sorted(speakers)),
        turns=turns,
    )


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    segments: list[Segment] = []
    for number in range(draw(st.integers(1, 5))):
        start = segments[-1].end + draw(st.sampled_from([0.0, 0.3])) if segments else 0.0
        words = draw(st.lists(WORDS, min_size=1, max_size=6))
        segments.append(segment(number, start, words, draw(st.sampled_from(LABELS)), draw(st.sampled_from(["", " "]))))
    turns = tuple(Turn(speaker=one.speaker or "", start=one.start, end=one.end) for one in segments)
    return transcript(*segments, turns=turns if draw(st.booleans()) else ())


@st.composite
def edited(draw: st.DrawFn) -> tuple[Transcript, TranscriptEdits]:
    """A transcript, and edits that fit it."""
    before = draw(transcripts())
    places = [(one.id, number) for one in before.segments for number in range(len(one.words))]
    chosen = draw(st.lists(st.sampled_from(places), unique=True, max_size=8))
    texts = st.lists(WORDS, max_size=3).map(" ".join)
    moved = draw(st.lists(st.sampled_from([one.id for one in before.segments]), unique=True, max_size=3))
    edits = TranscriptEdits(
        speakers={label: draw(WORDS) for label in before.speakers if draw(st.booleans())},
        words=tuple(WordEdit(segment=at, word=number, text=draw(texts)) for at, number in chosen),
        segments=tuple(SegmentEdit(segment=at, speaker=draw(st.sampled_from([*LABELS, "new"]))) for at in moved),
    )
    fitted = fit_edits(before, edits)
    assert fitted.misfit is None
    return before, fitted.edits


@given(transcripts())
def test_no_edits_change_nothing(before: Transcript) -> None:
    assert apply_edits(before, TranscriptEdits()) == before
    same = TranscriptEdits(
        speakers={label: label for label in before.speakers},
        words=tuple(
            WordEdit(segment=one.id, word=number, text=f" {word.word}  ")
            for one in before.segments
            for number, word in enumerate(one.words)
        ),
    )
    assert fit_edits(before, same).edits == TranscriptEdits()


@given(edited())
def test_times_stay_in_order_and_within_the_word(pair: tuple[Transcript, TranscriptEdits]) -> None:
    before, edits = pair
    after = apply_edits(before, edits)
    spans = {one.id: (one.start, one.end) for one in before.segments}
    for one in after.segments:
        assert (one.start, one.end) == spans[one.id]
        edges = [time_s for word in one.words for time_s in (word.start, word.end)]
        assert edges == sorted(edges)
        assert all(one.start <= time_s <= one.end for time_s in edges)
    assert [turn.start for turn in after.turns] == sorted(turn.start for turn in after.turns)
    assert sum(turn.end - turn.start for turn in after.turns) == pytest.approx(
        sum(turn.end - turn.start for turn in before.turns)
    )


@given(edited())
def test_untouched_words_are_identical(pair: tuple[Transcript, TranscriptEdits]) -> None:
    before, edits = pair
    only_words = msgspec.structs.replace(edits, speakers={}, segments=())
    touched = {(one.segment, one.word) for one in only_words.words}
    after = {one.id: one for one in apply_edits(before, only_words).segments}
    for one in before.segments:
        kept = [word for number, word in enumerate(one.words) if (one.id, number) not in touched]
        assert [word for word in after[one.id].words if word.confidence != 1.0] == kept if one.id in after else not kept
        if all((one.id, number) not in touched for number in range(len(one.words))):
            assert after[one.id] == one


@given(edited())
def test_the_words_are_those_of_the_edits_and_the_text_contains_them(pair: tuple[Transcript, TranscriptEdits]) -> None:
    before, edits = pair
    after = apply_edits(before, edits)
    texts = {(one.segment, one.word): one.text for one in edits.words}
    expected = [
        part
        for one in before.segments
        for number, word in enumerate(one.words)
        for part in texts.get((one.id, number), word.word).split()
    ]
    assert [word.word for one in after.segments for word in one.words] == expected
    assert "".join(after.text.split()) == "".join(expected)
    assert all("".join(one.text.split()) == "".join(word.word for word in one.words) for one in after.segments)
    used = {one.speaker for one in after.segments} | {turn.speaker for turn in after.turns}
    assert set(after.speakers) == used


@given(edited())
def test_every_format_renders_what_is_edited(pair: tuple[Transcript, TranscriptEdits]) -> None:
    after = apply_edits(*pair)
    for name in ("txt", "srt", "vtt", "tsv", "rttm"):
        render(after, name, size=CueSize(), job_id="job")


@given(edited())
def test_edits_move_to_the_same_words_in_other_segments(pair: tuple[Transcript, TranscriptEdits]) -> None:
    """As after `diarize`: one segment for each word, and one speaker fewer."""
    before, edits = pair
    words = [word for one in before.segments for word in one.words]
    again = transcript(*(segment(number, word.start, [word.word], LABELS[0]) for number, word in enumerate(words)))
    moved = move_edits(again, edits)
    assert [one.text for one in moved.words] == [one.text for one in edits.words]
    assert fit_edits(again, moved).edits.words == moved.words
    assert moved.speakers.keys() <= {LABELS[0]}
    assert moved.segments == ()
    after = [word.word for one in apply_edits(again, moved).segments for word in one.words]
    only_words = msgspec.structs.replace(edits, speakers={}, segments=())
    assert after == [word.word for one in apply_edits(before, only_words).segments for word in one.words]


def change(before: Transcript, **edits: object) -> Transcript:
    fitted = fit_edits(before, msgspec.convert(edits, TranscriptEdits))
    assert fitted.misfit is None, fitted.misfit
    return apply_edits(before, fitted.edits)


SAID = transcript(
    segment(0, 0.0, ["Hello", "there,", "wurld."], "SPEAKER_00"),
    segment(1, 2.0, ["Good", "by."], "SPEAKER_01"),
    turns=(Turn(speaker="SPEAKER_00", start=0.0, end=1.6), Turn(speaker="SPEAKER_01", start=2.0, end=3.5)),
)


def word(at: int, number: int, text: str) -> dict[str, object]:
    return {"segment": at, "word": number, "text": text}


def test_a_word_becomes_several_in_proportion() -> None:
    after = change(SAID, words=[word(0, 2, "my whole world.")])
    assert [(one.word, one.start, one.end) for one in after.segments[0].words[2:]] == [
        ("my", 1.0, 1.077),
        ("whole", 1.077, 1.269),
        ("world.", 1.269, 1.5),
    ]
    assert {one.confidence for one in after.segments[0].words[2:]} == {1.0}
    assert after.segments[0].text == "Hello there, my whole world."
    assert after.text == "Hello there, my whole world. Good by."


@pytest.mark.parametrize(("number", "text"), [(0, "there, wurld."), (1, "Hello wurld."), (2, "Hello there,")])
def test_a_deleted_word_takes_its_space_along(number: int, text: str) -> None:
    after = change(SAID, words=[word(0, number, " ")])
    assert (after.segments[0].text, after.text) == (text, f"{text} Good by.")


def test_a_segment_without_text_is_left_out() -> None:
    after = change(SAID, words=[word(0, number, "") for number in range(3)])
    assert [one.id for one in after.segments] == [1]
    assert after.text == "Good by."


def test_chinese_words_have_no_spaces() -> None:
    before = transcript(segment(0, 0.0, ["我们", "今天", "去"], gap=""))
    after = change(before, words=[word(0, 1, "明天"), word(0, 2, "")])
    assert (after.segments[0].text, after.text) == ("我们明天", "我们明天")


def test_names_and_speakers_of_segments() -> None:
    after = change(
        SAID, speakers={"SPEAKER_00": " Ann  Lee", "Bob": "Robert"}, segments=[{"segment": 1, "speaker": "Bob"}]
    )
    assert [(one.speaker, one.words[0].speaker) for one in after.segments] == [("Ann Lee",) * 2, ("Robert",) * 2]
    assert after.speakers == ("Ann Lee", "SPEAKER_01", "Robert")
    assert [(turn.speaker, turn.start, turn.end) for turn in after.turns] == [
        ("Ann Lee", 0.0, 1.6),
        ("Robert", 2.0, 3.0),
        ("SPEAKER_01", 3.0, 3.5),
    ]


def test_two_labels_with_one_name_are_one_speaker() -> None:
    after = change(SAID, speakers={"SPEAKER_00": "SPEAKER_01"})
    assert after.speakers == ("SPEAKER_01",)
    swapped = change(SAID, speakers={"SPEAKER_00": "SPEAKER_01", "SPEAKER_01": "SPEAKER_00"})
    assert [one.speaker for one in swapped.segments] == ["SPEAKER_01", "SPEAKER_00"]


def test_a_correction_comes_before_a_name_of_an_option_and_may_use_its_label() -> None:
    turns = (Turn(speaker="SPEAKER_00", start=0, end=4), Turn(speaker="SPEAKER_01", start=4, end=4.5))
    before = transcript(segment(0, 0, ["a"], "SPEAKER_00"), segment(1, 4, ["b"], "SPEAKER_01"), turns=turns)
    before = with_statistics(with_names(before, {"SPEAKER_00": "Ann"}))
    before = msgspec.structs.replace(before, named_speakers=(NamedSpeaker(label="SPEAKER_00", name="Ann"),))

    for label in ("SPEAKER_00", "Ann"):
        after = change(before, speakers={label: "Zoë"}, segments=[{"segment": 1, "speaker": label}])
        assert (after.speakers, {one.speaker for one in after.segments}) == (("Zoë",), {"Zoë"})
        assert after.speaker_statistics is not msgspec.UNSET
        assert [(one.speaker, one.talk_time) for one in after.speaker_statistics] == [("Zoë", 4.5)]
    assert "label" in (fit_edits(before, TranscriptEdits(speakers={"SPEAKER_02": "Ben"})).misfit or "")


def test_a_name_begins_no_cue() -> None:
    after = change(SAID, speakers={"SPEAKER_00": "a --> b", "SPEAKER_01": "<v x>&"})
    srt = render(after, "srt", size=CueSize(), job_id="job")
    vtt = render(after, "vtt", size=CueSize(), job_id="job")
    assert srt.count("-->") == vtt.count("-->") == 2
    assert "<v &lt;v x&gt;&amp;>" in vtt


def test_a_segment_without_words_gets_another_text() -> None:
    wordless = msgspec.structs.replace(SAID.segments[0], words=())
    before = msgspec.structs.replace(SAID, segments=(wordless, SAID.segments[1]))
    after = change(before, segments=[{"segment": 0, "text": "Hello, world."}])
    assert (after.segments[0].text, after.text) == ("Hello, world.", "Hello, world. Good by.")
    fitted = fit_edits(before, msgspec.convert({"segments": [{"segment": 0, "text": "Hi."}]}, TranscriptEdits))
    assert move_edits(before, fitted.edits).segments[0].text == "Hi."
    assert move_edits(SAID, fitted.edits).segments == ()


@pytest.mark.parametrize(
    ("edits", "named"),
    [
        ({"words": [word(7, 0, "x")]}, "segment 7"),
        ({"words": [word(1, 2, "x")]}, "word 2 of segment 1"),
        ({"segments": [{"segment": 7, "speaker": "x"}]}, "segment 7"),
        ({"segments": [{"segment": 0, "text": "x"}]}, "`words`"),
        ({"speakers": {"SPEAKER_02": "x"}}, "label"),
    ],
)
def test_what_the_transcript_does_not_have_is_refused(edits: dict[str, object], named: str) -> None:
    assert named in (fit_edits(SAID, msgspec.convert(edits, TranscriptEdits)).misfit or "")


def test_a_day_of_moved_segments_is_fast_enough() -> None:
    """Each turn is compared with the segments that it overlaps only."""
    segments = [segment(number, number * 1.0, ["a", "b"], LABELS[0]) for number in range(20_000)]
    before = transcript(
        *segments, turns=tuple(Turn(speaker=LABELS[0], start=one.start, end=one.end) for one in segments)
    )
    after = change(before, segments=[{"segment": number, "speaker": "x"} for number in range(0, 20_000, 2)])
    assert [turn.speaker for turn in after.turns[:3]] == ["x", LABELS[0], "x"]


def test_parts_that_are_not_found_are_not_replaced() -> None:
    assert replace_parts("one two", [("one", "1"), ("three", "3")]) is None
    assert replace_parts("one, two", [("one", ""), ("two", "2")]) == ", 2"
