"""Speakers are compared with known voices: one name each, and none in doubt. Synthetic embeddings."""

import numpy as np
import pytest

from processor_service.diarization.known_voices import (
    MIN_SPEAKER_S,
    SAME_PERSON,
    KnownVoice,
    SpeakerVoice,
    Vector,
    decode_voice,
    encode_voice,
    match_voices,
    sample_voice,
)
from processor_service.diarization.speaker_turns import turns_and_matches
from processor_service.diarization.voices import EMBEDDING_SIZE, VoicePiece, Voices, pieces_of

ANN, BEN, EVE = np.eye(EMBEDDING_SIZE, dtype=np.float32)[:3]


def like(voice: Vector, similarity: float, away: int = 9) -> Vector:
    """A voice with this cosine to another one."""
    other = np.eye(EMBEDDING_SIZE, dtype=np.float32)[away]
    vector: Vector = (similarity * voice + np.sqrt(1 - similarity**2) * other).astype(np.float32)
    return vector


def known(**voices: Vector) -> list[KnownVoice]:
    return [KnownVoice(name=name, embedding=encode_voice(voice)) for name, voice in voices.items()]


def matches(speakers: dict[str, Vector], voices: list[KnownVoice], speech_s: float = 10.0) -> dict[str, str]:
    spoken = {label: SpeakerVoice(voice, speech_s) for label, voice in speakers.items()}
    return {match.label: match.name for match in match_voices(spoken, voices)}


def test_each_speaker_gets_the_name_of_the_most_similar_voice() -> None:
    speakers = {"SPEAKER_00": like(BEN, 0.8), "SPEAKER_01": like(ANN, 0.7)}
    assert matches(speakers, known(Ann=ANN, Ben=BEN)) == {"SPEAKER_00": "Ben", "SPEAKER_01": "Ann"}


def test_a_stranger_keeps_the_label() -> None:
    speakers = {"SPEAKER_00": like(ANN, SAME_PERSON - 0.02), "SPEAKER_01": EVE}
    assert matches(speakers, known(Ann=ANN, Ben=BEN)) == {}


def test_a_person_is_one_speaker_the_most_similar() -> None:
    speakers = {"SPEAKER_00": like(ANN, 0.7), "SPEAKER_01": like(ANN, 0.9)}
    assert matches(speakers, known(Ann=ANN)) == {"SPEAKER_01": "Ann"}


def test_a_speaker_who_resembles_two_persons_alike_has_no_name() -> None:
    both = (ANN + BEN) / np.sqrt(2)
    assert matches({"SPEAKER_00": both}, known(Ann=ANN, Ben=BEN)) == {}
    assert matches({"SPEAKER_00": both}, known(Ann=ANN)) == {"SPEAKER_00": "Ann"}


def test_a_speaker_with_too_little_speech_has_no_name() -> None:
    assert matches({"SPEAKER_00": ANN}, known(Ann=ANN), speech_s=MIN_SPEAKER_S - 0.1) == {}


def test_several_samples_of_a_person_are_one_voice() -> None:
    samples = [*known(Ann=like(ANN, 0.7, 9)), *known(Ann=like(ANN, 0.7, 10)), *known(Ben=BEN)]
    assert matches({"SPEAKER_00": ANN}, samples) == {"SPEAKER_00": "Ann"}


@pytest.mark.parametrize("voices", [[], known(Ann=ANN)])
def test_without_speakers_or_voices_nothing_matches(voices: list[KnownVoice]) -> None:
    assert match_voices({}, voices) == ()
    assert turns_and_matches([spoken()], voices) == ((), ())


def test_a_stored_voice_is_read_as_it_was() -> None:
    assert len(encode_voice(ANN)) == 384
    np.testing.assert_array_equal(decode_voice(encode_voice(ANN)), ANN)


def spoken(*spans: tuple[float, float, Vector], clear: bool = True) -> Voices:
    pieces = pieces_of([VoicePiece(start, end, clear) for start, end, _ in spans], [voice for *_, voice in spans])
    return Voices(pieces=pieces.pieces, embeddings=pieces.embeddings)


def test_a_sample_is_the_voice_that_speaks_most_from_clear_speech_only() -> None:
    sample = sample_voice([spoken((0, 1, BEN), (1, 2.5, ANN)), spoken((0, 1.5, ANN), (2, 2.3, BEN))])
    assert sample is not None
    assert sample.speech_s == 3.0
    assert sample.vector @ ANN == pytest.approx(1)
    assert sample_voice([spoken((0, 1.5, ANN), clear=False)]) is None
    assert sample_voice([]) is None


def test_the_turns_of_a_known_speaker_have_the_label_of_the_match() -> None:
    file = spoken((0, 1.5, EVE), (1.5, 3, EVE), (4, 5.5, ANN), (5.5, 7, ANN))
    turns, found = turns_and_matches([file], known(Ann=ANN, Ben=BEN))
    (match,) = found
    assert (match.label, match.name, match.similarity) == ("SPEAKER_01", "Ann", 1.0)
    assert [turn.start for turn in turns if turn.speaker == match.label] == [4]
