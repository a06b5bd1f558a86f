"""Windows contain all speech, fit the model and are cut in pauses."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor_service.transcribers.transcriber import Span
from processor_service.transcribers.windows import (
    MAX_SILENCE_S,
    MODEL_WINDOW_S,
    OVERLAP_S,
    PAD_S,
    plan_windows,
)

LENGTHS = st.lists(st.tuples(st.floats(0.05, 5), st.floats(0.2, 40)), max_size=40)  # pause, speech


def _regions(lengths: list[tuple[float, float]]) -> list[Span]:
    edges = list(itertools.accumulate(itertools.chain.from_iterable(lengths)))
    return list(zip(edges[::2], edges[1::2], strict=True))


@given(LENGTHS)
def test_windows_contain_all_speech_once_and_fit_the_model(lengths: list[tuple[float, float]]) -> None:
    regions = _regions(lengths)
    duration_s = regions[-1][1] + 1 if regions else 1.0

    windows = plan_windows(regions, duration_s)

    assert all(0 <= start_s < end_s <= duration_s for start_s, end_s in windows)
    assert all(end_s - start_s <= MODEL_WINDOW_S + 1e-6 for start_s, end_s in windows)
    overlaps_s = [before[1] - after[0] for before, after in itertools.pairwise(windows)]
    cuts = sum(overlap_s > 1e-6 for overlap_s in overlaps_s)
    assert all(overlap_s == pytest.approx(OVERLAP_S) for overlap_s in overlaps_s if overlap_s > 1e-6)
    for start_s, end_s in regions:
        covered_s = sum(max(0.0, min(end_s, last) - max(start_s, first)) for first, last in windows)
        assert covered_s >= end_s - start_s - 1e-6
    covered_s = sum(
        max(0.0, min(end_s, last) - max(start_s, first)) for first, last in windows for start_s, end_s in regions
    )
    assert covered_s <= sum(end_s - start_s for start_s, end_s in regions) + cuts * OVERLAP_S + 1e-6


@given(LENGTHS)
def test_speech_that_fits_a_window_is_not_cut(lengths: list[tuple[float, float]]) -> None:
    regions = [region for region in _regions(lengths) if region[1] - region[0] <= MODEL_WINDOW_S - 2 * PAD_S]

    windows = plan_windows(regions, 10_000.0)

    for start_s, end_s in regions:
        assert sum(first <= start_s and end_s <= last for first, last in windows) == 1


def test_a_long_silence_divides_windows_and_a_short_one_does_not() -> None:
    def count(pause_s: float) -> int:
        return len(plan_windows([(0.0, 5.0), (5.0 + pause_s, 10.0 + pause_s)], 60.0))

    assert (count(MAX_SILENCE_S - 0.1), count(MAX_SILENCE_S + 0.1)) == (1, 2)


def test_a_full_window_ends_at_its_longest_pause_if_that_adds_no_window() -> None:
    regions = [(0.0, 10.0), (11.0, 21.0), (21.5, 24.0), (24.1, 27.0), (27.1, 40.0)]

    first, second = plan_windows(regions, 60.0)

    assert first == (0.0, 10.3)  # in the pause of 1 s; a cut at 21.0, 24.0 or 27.0 would also give two windows
    assert second == (10.7, 40.3)


@given(LENGTHS, st.integers(0, 30))
def test_a_plan_with_a_later_start_has_no_more_windows(lengths: list[tuple[float, float]], skipped: int) -> None:
    regions = _regions(lengths)

    whole, rest = plan_windows(regions, 10_000.0), plan_windows(regions[skipped:], 10_000.0)

    assert len(rest) <= len(whole)


def test_speech_without_a_pause_is_cut_evenly_with_overlaps() -> None:
    first, second, third = plan_windows([(0.0, 60.0)], 60.0)

    assert first == (0.0, 21.5)
    assert second == (18.5, 41.5)
    assert third == (38.5, 60.0)


def test_silence_has_no_windows() -> None:
    assert plan_windows([], 10.0) == []
