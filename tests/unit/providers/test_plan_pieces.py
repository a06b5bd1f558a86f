"""Pieces contain whole windows of speech, and times map back to the chunk."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor_service.providers.plan_pieces import Timeline, length_s, plan_pieces
from processor_service.transcribers.transcriber import Span
from processor_service.transcribers.windows import MODEL_WINDOW_S, plan_windows

SPANS = ((10.0, 12.0), (20.0, 21.0), (30.0, 33.0))  # in the piece: 0 to 2, 2 to 3, 3 to 6


@st.composite
def speech(draw: st.DrawFn) -> list[Span]:
    """Separate regions of speech; some are longer than a window."""
    regions: list[Span] = []
    at_s = 0.0
    for pause_s, length in draw(st.lists(st.tuples(st.floats(0.1, 20), st.floats(0.1, 100)), max_size=30)):
        regions.append((at_s + pause_s, at_s + pause_s + length))
        at_s = regions[-1][1]
    return regions


@given(speech(), st.floats(MODEL_WINDOW_S, 600))
def test_all_speech_is_in_exactly_one_piece(regions: list[Span], longest_s: float) -> None:
    duration_s = regions[-1][1] + 1 if regions else 5.0

    pieces = plan_pieces(plan_windows(regions, duration_s), longest_s)

    spans = [span for piece in pieces for span in piece]
    assert all(length_s(piece) <= longest_s + 1e-6 for piece in pieces)
    assert all(0 <= start_s < end_s <= duration_s for start_s, end_s in spans)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    for start_s, end_s in regions:
        covered_s = sum(max(0.0, min(end_s, end) - max(start_s, start)) for start, end in spans)
        assert covered_s == pytest.approx(end_s - start_s, abs=0.01)


def test_a_piece_is_as_long_as_allowed_and_ends_with_a_window() -> None:
    windows = [(0.0, 25.0), (27.0, 50.0), (50.0, 75.0), (80.0, 100.0)]

    assert plan_pieces(windows, 60.0) == [((0.0, 25.0), (27.0, 50.0)), ((50.0, 75.0), (80.0, 100.0))]


def test_windows_that_touch_or_overlap_are_one_span() -> None:
    assert plan_pieces([(0.0, 20.0), (20.0, 30.0), (28.0, 40.0)], 600.0) == [((0.0, 40.0),)]


def test_windows_that_overlap_are_cut_in_the_middle_where_a_piece_ends() -> None:
    assert plan_pieces([(0.0, 30.0), (27.0, 57.0)], 30.0) == [((0.0, 28.5),), ((28.5, 57.0),)]


def test_without_speech_there_is_no_piece() -> None:
    assert plan_pieces([], 600.0) == []


@pytest.mark.parametrize(
    ("word", "placed"),
    [
        ((0.0, 0.5), (10.0, 10.5)),
        ((1.5, 2.0), (11.5, 12.0)),
        ((2.0, 2.5), (20.0, 20.5)),
        ((1.0, 2.2), (11.0, 12.0)),  # mostly before the silence
        ((1.9, 2.9), (20.0, 20.9)),  # mostly after it
        ((5.5, 6.0), (32.5, 33.0)),
    ],
)
def test_a_word_is_placed_in_the_span_of_its_middle(word: Span, placed: Span) -> None:
    assert Timeline(SPANS).word(*word) == pytest.approx(placed)


@pytest.mark.parametrize(
    ("stretch", "placed"),
    [((0.0, 2.0), (10.0, 12.0)), ((2.0, 3.0), (20.0, 21.0)), ((1.0, 4.0), (11.0, 31.0)), ((6.0, 6.0), (33.0, 33.0))],
)
def test_a_stretch_includes_silences_within_it(stretch: Span, placed: Span) -> None:
    assert Timeline(SPANS).stretch(*stretch) == pytest.approx(placed)
