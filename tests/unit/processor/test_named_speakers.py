"""Names replace labels everywhere in a transcript; names by label come before known voices."""

import msgspec

from processor_service.diarization.known_voices import VoiceMatch
from processor_service.stages.diarize import without_speakers
from processor_service.stages.speakers import named
from shared.schemas.transcript import NamedSpeaker, ResultWarning, Segment, Transcript, Turn, WarningCode, Word


def segment(number: int, speaker: str) -> Segment:
    word = Word(word="hello", start=number, end=number + 1, confidence=1, speaker=speaker)
    return Segment(
        id=number,
        start=number,
        end=number + 1,
        text="hello",
        speaker=speaker,
        confidence=1,
        no_speech_prob=0,
        words=(word,),
    )


LABELS = ("SPEAKER_00", "SPEAKER_01", "SPEAKER_02")
TRANSCRIPT = Transcript(
    text="hello hello hello",
    language="en",
    duration=3,
    segments=tuple(segment(number, label) for number, label in enumerate(LABELS)),
    speakers=LABELS,
    turns=tuple(Turn(speaker=label, start=number, end=number + 1) for number, label in enumerate(LABELS)),
)


def match(label: str, name: str) -> VoiceMatch:
    return VoiceMatch(label=label, name=name, similarity=0.75)


def test_names_replace_labels_in_segments_words_turns_and_the_list() -> None:
    found = named(TRANSCRIPT, {"SPEAKER_00": " Zoë  Ann "}, [match("SPEAKER_02", "Ben")])

    expected = ("Zoë Ann", "SPEAKER_01", "Ben")
    assert found.speakers == expected
    assert tuple(one.speaker for one in found.segments) == expected
    assert tuple(one.words[0].speaker for one in found.segments) == expected
    assert tuple(one.speaker for one in found.turns) == expected
    assert found.named_speakers == (
        NamedSpeaker(label="SPEAKER_00", name="Zoë Ann"),
        NamedSpeaker(label="SPEAKER_02", name="Ben", similarity=0.75),
    )
    assert found.speaker_statistics is not msgspec.UNSET
    assert tuple(one.speaker for one in found.speaker_statistics) == expected


def test_a_name_by_label_comes_before_a_voice() -> None:
    found = named(TRANSCRIPT, {"SPEAKER_00": "Ann"}, [match("SPEAKER_00", "Ben"), match("SPEAKER_01", "Ann")])
    assert found.speakers == ("Ann", "SPEAKER_01", "SPEAKER_02")


def test_labels_that_the_transcript_does_not_have_change_nothing() -> None:
    found = named(TRANSCRIPT, {"SPEAKER_09": "Ann"}, [])
    assert (found.speakers, found.named_speakers) == (LABELS, msgspec.UNSET)


def test_two_labels_with_one_name_are_one_speaker() -> None:
    found = named(TRANSCRIPT, {"SPEAKER_00": "Ann", "SPEAKER_01": "SPEAKER_00", "SPEAKER_02": "Ann"}, [])
    assert found.speakers == ("Ann", "SPEAKER_00")
    assert [one.speaker for one in found.turns] == ["Ann", "SPEAKER_00", "Ann"]


def test_a_new_diarization_begins_without_names() -> None:
    skipped = ResultWarning(code=WarningCode.KNOWN_SPEAKER_SKIPPED, message="Why.")
    before = msgspec.structs.replace(named(TRANSCRIPT, {"SPEAKER_00": "Ann"}, []), warnings=(skipped,))
    plain = without_speakers(before)
    assert (plain.speakers, plain.turns, plain.warnings) == ((), (), ())
    assert (plain.named_speakers, plain.speaker_statistics) == (msgspec.UNSET, msgspec.UNSET)
    assert {one.speaker for one in plain.segments} == {None}
