"""Pieces of one voice from the activity of the segmentation net."""

import numpy as np
import pytest

from processor_service.diarization.pieces import COARSE, FINE, Grain, WindowActivity, cut_pieces
from processor_service.diarization.segmentation_net import SETS, decode

FRAMES = 589


def _activity(*spans: tuple[int, int, int]) -> WindowActivity:
    """The activity from spans: local speaker, start, end."""
    activity = np.zeros((FRAMES, 3), bool)
    for speaker, start, end in spans:
        activity[start:end, speaker] = True
    return activity


@pytest.mark.parametrize("number", range(len(SETS)))
def test_the_most_probable_set_is_active(number: int) -> None:
    active = decode(np.eye(len(SETS))[number])

    assert tuple(np.flatnonzero(active)) == SETS[number]


def test_the_classes_are_the_sets_of_at_most_two_speakers() -> None:
    assert SETS == ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2))


def test_a_piece_ends_where_the_set_of_speakers_changes() -> None:
    pieces = list(cut_pieces(_activity((0, 100, 160), (1, 140, 200)), 0, FRAMES, COARSE))

    spans = [(one.local_speaker, one.start, one.end, one.is_alone) for one in pieces]
    assert spans == [(0, 100, 140, True), (0, 140, 160, False), (1, 140, 160, False), (1, 160, 200, True)]


def test_frames_with_a_single_speaker_are_embedded() -> None:
    pieces = list(cut_pieces(_activity((0, 100, 160), (1, 140, 200)), 0, FRAMES, COARSE))

    assert pieces[1].embedded == tuple(range(100, 140))
    assert pieces[2].embedded == tuple(range(160, 200))


def test_all_frames_of_a_speaker_who_never_speaks_alone_are_embedded() -> None:
    (inner,) = (
        one for one in cut_pieces(_activity((0, 0, 300), (1, 100, 150)), 0, FRAMES, COARSE) if one.local_speaker == 1
    )

    assert inner.embedded == tuple(range(100, 150))


@pytest.mark.parametrize("grain", [COARSE, FINE], ids=["coarse", "fine"])
def test_long_speech_is_cut_evenly_and_completely(grain: Grain) -> None:
    pieces = list(cut_pieces(_activity((2, 0, 400)), 0, FRAMES, grain))

    assert [one.start for one in pieces[1:]] == [one.end for one in pieces[:-1]]
    assert (pieces[0].start, pieces[-1].end) == (0, 400)
    lengths = [one.end - one.start for one in pieces]
    assert max(lengths) <= grain.longest
    assert max(lengths) - min(lengths) <= 1


def test_pieces_are_from_the_middle_of_a_window_but_embed_all_of_it() -> None:
    (piece,) = cut_pieces(_activity((0, 140, 170)), 146, 160, COARSE)

    assert (piece.start, piece.end) == (146, 160)
    assert piece.embedded == tuple(range(140, 170))
    assert len(piece.embedded) < COARSE.embedded


def test_a_fine_piece_is_not_embedded_with_the_turn_before_a_pause() -> None:
    turns = _activity((0, 100, 200), (0, 240, 270))

    coarse, fine = ([*cut_pieces(turns, 0, FRAMES, grain)][-1] for grain in (COARSE, FINE))

    assert coarse.embedded[0] < 200
    assert fine.embedded == tuple(range(240, 270))


def test_a_fine_piece_that_is_never_alone_nearby_is_embedded_from_afar() -> None:
    pieces = cut_pieces(_activity((0, 0, 50), (0, 300, 330), (1, 300, 330)), 0, FRAMES, FINE)

    assert [one.embedded[-1] for one in pieces if one.local_speaker == 0 and not one.is_alone] == [49]
