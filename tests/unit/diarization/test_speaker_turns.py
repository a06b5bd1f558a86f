"""Turns from voices of chunks with synthetic embeddings, without nets."""

import numpy as np

from processor_service.diarization.speaker_turns import speaker_turns
from processor_service.diarization.voices import EMBEDDING_SIZE, VoicePiece, Voices, embeddings_of, voices_of

WOMAN, MAN = np.eye(EMBEDDING_SIZE, dtype=np.float32)[:2]


def _voices(
    *spans: tuple[float, float, np.ndarray[tuple[int, ...], np.dtype[np.float32]]], clear: bool = True
) -> Voices:
    pieces = [VoicePiece(start, end, clear) for start, end, _ in spans]
    return voices_of(pieces, [3 * voice for _, _, voice in spans])


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
