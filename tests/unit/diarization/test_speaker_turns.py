"""Turns from voices of chunks with synthetic embeddings, without nets."""

import msgspec
import numpy as np
import pytest

from processor_service.diarization.speaker_turns import speaker_turns
from processor_service.diarization.voices import EMBEDDING_SIZE, VoicePiece, Voices, embeddings_of, pieces_of

WOMAN, MAN = np.eye(EMBEDDING_SIZE, dtype=np.float32)[:2]


def _voices(
    *spans: tuple[float, float, np.ndarray[tuple[int, ...], np.dtype[np.float32]]], clear: bool = True
) -> Voices:
    pieces = [VoicePiece(start, end, clear) for start, end, _ in spans]
    coarse = pieces_of(pieces, [3 * voice for _, _, voice in spans])
    return Voices(pieces=coarse.pieces, embeddings=coarse.embeddings)


def test_voices_are_in_order_and_have_unit_length() -> None:
    voices = _voices((5.0, 6.0, MAN), (1.0, 2.0, WOMAN))

    assert [piece.start for piece in voices.pieces] == [1.0, 5.0]
    np.testing.assert_array_equal(embeddings_of(voices), [WOMAN, MAN])


def test_a_speaker_has_one_name_in_all_chunks() -> None:
    turns = speaker_turns([_voices((0.0, 1.4, MAN)), _voices((1.4, 2.8, WOMAN), (9.0, 10.0, MAN))])

    assert [(turn.speaker, turn.start, turn.end) for turn in turns] == [
        ("SPEAKER_00", 0.0, 1.4),
        ("SPEAKER_01", 1.4, 2.8),
        ("SPEAKER_00", 9.0, 10.0),
    ]


def test_a_turn_continues_across_a_cut_and_a_short_gap() -> None:
    turns = speaker_turns([_voices((0.0, 1.4, MAN), (1.4, 2.0, MAN)), _voices((2.0, 3.0, MAN), (3.3, 4.0, MAN))])

    assert [(turn.start, turn.end) for turn in turns] == [(0.0, 4.0)]


def test_simultaneous_pieces_get_different_speakers() -> None:
    apart = _voices((0.0, 1.4, MAN), (1.4, 2.8, WOMAN))
    both = _voices((2.8, 3.4, MAN), (2.8, 3.4, 0.9 * MAN + 0.4 * WOMAN), clear=False)

    turns = speaker_turns([apart, both])

    assert {turn.speaker for turn in turns if turn.start <= 3.0 < turn.end} == {"SPEAKER_00", "SPEAKER_01"}


def test_unclear_pieces_count_if_no_piece_is_clear() -> None:
    assert len(speaker_turns([_voices((0.0, 0.3, MAN), clear=False)])) == 1


def test_no_pieces_give_no_turns() -> None:
    assert speaker_turns([_voices(), _voices()]) == ()


def test_fine_pieces_decide_who_speaks() -> None:
    coarse = _voices((0.0, 1.4, MAN), (1.4, 2.8, WOMAN))
    fine = _voices((0.0, 0.7, MAN), (0.7, 1.4, WOMAN), (1.4, 2.8, WOMAN))

    turns = speaker_turns([msgspec.structs.replace(coarse, fine=fine)])

    assert [(turn.speaker, turn.start, turn.end) for turn in turns] == [
        ("SPEAKER_00", 0.0, 0.7),
        ("SPEAKER_01", 0.7, 2.8),
    ]


def test_voices_of_an_older_version_are_read() -> None:
    voices = _voices((0.0, 1.4, MAN))
    stored = {"pieces": [[0.0, 1.4, True]], "embeddings": voices.embeddings}

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(stored), type=Voices) == voices
    assert len(speaker_turns([voices])) == 1


@pytest.mark.parametrize(
    ("pause_s", "is_one_turn"), [(0.4, True), (1.9, True), (2.1, False)], ids=["gap", "breath", "end of the turn"]
)
def test_a_turn_continues_over_a_pause_between_long_speech(pause_s: float, *, is_one_turn: bool) -> None:
    turns = speaker_turns([_voices((0.0, 5.0, MAN), (5.0 + pause_s, 10.0 + pause_s, MAN))])

    assert (len(turns) == 1) == is_one_turn


def test_a_turn_does_not_continue_over_another_speaker_or_after_a_word() -> None:
    answered = _voices((0.0, 5.0, MAN), (5.2, 6.0, WOMAN), (6.2, 11.0, MAN))
    word = _voices((0.0, 5.0, MAN), (5.9, 6.5, MAN))

    assert len(speaker_turns([answered])) == 3
    assert len(speaker_turns([word])) == 2
