"""From what the segmentation net says to pieces of one voice."""

import numpy as np
import pytest

from processor_service.diarization.pieces import LISTEN_FRAMES, LONGEST_FRAMES, WindowActivity, cut_pieces
from processor_service.diarization.segmentation_net import SETS, decode

FRAMES = 589


def _activity(*spans: tuple[int, int, int]) -> WindowActivity:
    """Local speaker, from, to."""
    activity = np.zeros((FRAMES, 3), bool)
    for speaker, start, end in spans:
        activity[start:end, speaker] = True
    return activity


@pytest.mark.parametrize("number", range(len(SETS)))
def test_the_likeliest_set_is_who_is_heard(number: int) -> None:
    heard = decode(np.eye(len(SETS))[number])

    assert tuple(np.flatnonzero(heard)) == SETS[number]


def test_there_are_seven_sets_of_at_most_two_of_three() -> None:
    assert SETS == ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2))


def test_a_piece_breaks_where_the_company_changes() -> None:
    pieces = list(cut_pieces(_activity((0, 100, 160), (1, 140, 200)), 0, FRAMES))

    spans = [(one.local_speaker, one.start, one.end, one.is_alone) for one in pieces]
    assert spans == [(0, 100, 140, True), (0, 140, 160, False), (1, 140, 160, False), (1, 160, 200, True)]


def test_a_voice_is_told_by_where_it_is_alone() -> None:
    pieces = list(cut_pieces(_activity((0, 100, 160), (1, 140, 200)), 0, FRAMES))

    assert pieces[1].listen == tuple(range(100, 140))
    assert pieces[2].listen == tuple(range(160, 200))


def test_who_is_never_alone_is_told_by_where_he_is_heard() -> None:
    (inner,) = (one for one in cut_pieces(_activity((0, 0, 300), (1, 100, 150)), 0, FRAMES) if one.local_speaker == 1)

    assert inner.listen == tuple(range(100, 150))


def test_long_speech_is_cut_evenly_and_wholly() -> None:
    pieces = list(cut_pieces(_activity((2, 0, 400)), 0, FRAMES))

    assert [one.start for one in pieces[1:]] == [one.end for one in pieces[:-1]]
    assert (pieces[0].start, pieces[-1].end) == (0, 400)
    lengths = [one.end - one.start for one in pieces]
    assert max(lengths) <= LONGEST_FRAMES
    assert max(lengths) - min(lengths) <= 1


def test_a_window_answers_for_its_middle_but_listens_to_all_of_it() -> None:
    (piece,) = cut_pieces(_activity((0, 140, 170)), 146, 160)

    assert (piece.start, piece.end) == (146, 160)
    assert piece.listen == tuple(range(140, 170))
    assert len(piece.listen) < LISTEN_FRAMES
