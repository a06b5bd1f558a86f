"""Divide speech into windows of at most 30 s that begin and end in pauses. Silences are left out. Pure.

The model cannot invent words for audio that it does not get. Only speech without a pause is cut; the windows on both
sides of such a cut overlap.
"""

from collections.abc import Iterator, Sequence
from math import ceil

from processor_service.transcribers.transcriber import Span

MODEL_WINDOW_S = 30.0  # the input length of Whisper's encoder
PAD_S = 0.3  # silence that is kept around a window: Whisper omits sentences that touch the edge
OVERLAP_S = 3.0  # of two windows around a cut in speech: some words on both sides
MAX_SILENCE_S = 2.0  # a longer pause divides windows: the model takes it for the end of the text
GOOD_PAUSE_S = 1.0  # a longer pause is no better cut
CUT_COST = 2.0  # of a cut without a pause, in windows; with less, plans from different starts agree late


def plan_windows(speech: Sequence[Span], duration_s: float) -> list[Span]:
    """The windows over regions of speech in order, which pauses as short as 0.1 s should separate.

    Minimises the number of windows and the cost of their cuts over the whole audio. So the plan does not depend on its
    start, and a file in chunks gets the same windows as the whole, except next to a cut.
    """
    regions = [piece for region in speech for piece in _bounded(region)]
    costs, firsts = (
        [0.0],
        [0],
    )  # of the best plan for the first n regions: its cost, and the first region of its last window
    for last in range(len(regions)):
        cut_cost = _cut_cost(regions, last)
        cost, first = min((costs[first] + 1 + cut_cost, first) for first in _possible_firsts(regions, last))
        costs.append(cost)
        firsts.append(first)
    return _padded(_windows(regions, firsts), duration_s)


def apart(windows: Sequence[Span]) -> list[Span]:
    """The windows without overlaps: each overlap is divided in the middle."""
    cut: list[Span] = []
    for start_s, end_s in windows:
        if cut and start_s < cut[-1][1]:
            cut_s = (cut[-1][1] + start_s) / 2
            cut[-1] = (cut[-1][0], cut_s)
            cut.append((cut_s, end_s))
        else:
            cut.append((start_s, end_s))
    return cut


def _windows(regions: Sequence[Span], firsts: Sequence[int]) -> list[Span]:
    windows: list[Span] = []
    end = len(regions)
    while end:
        windows.append((regions[firsts[end]][0], regions[end - 1][1]))
        end = firsts[end]
    return windows[::-1]


def _possible_firsts(regions: Sequence[Span], last: int) -> Iterator[int]:
    """The possible first regions of a window that ends with region `last`."""
    yield last
    for first in reversed(range(last)):
        if _pause_after(regions, first) > MAX_SILENCE_S or not _fits(regions, first, last):
            return
        yield first


def _cut_cost(regions: Sequence[Span], number: int) -> float:
    if number + 1 == len(regions):
        return 0.0
    return CUT_COST * (1 - min(_pause_after(regions, number), GOOD_PAUSE_S) / GOOD_PAUSE_S)


def _bounded(region: Span) -> list[Span]:
    """The region, cut evenly so that each part fits a window with its overlaps."""
    start_s, end_s = region
    if _window_s(start_s, end_s, PAD_S, PAD_S) <= MODEL_WINDOW_S:
        return [region]
    pieces = ceil((end_s - start_s) / (MODEL_WINDOW_S - OVERLAP_S))
    edges = [start_s + (end_s - start_s) * number / pieces for number in range(pieces)]
    return list(zip(edges, [*edges[1:], end_s], strict=True))


def _fits(regions: Sequence[Span], first: int, last: int) -> bool:
    pad_before_s = _pad_before(regions, first)
    pad_after_s = _pad_before(regions, last + 1) if last + 1 < len(regions) else PAD_S
    return _window_s(regions[first][0], regions[last][1], pad_before_s, pad_after_s) <= MODEL_WINDOW_S


def _window_s(start_s: float, end_s: float, pad_before_s: float, pad_after_s: float) -> float:
    return pad_before_s + (end_s - start_s) + pad_after_s


def _pad_before(regions: Sequence[Span], number: int) -> float:
    return OVERLAP_S / 2 if number and _pause_after(regions, number - 1) == 0 else PAD_S


def _pause_after(regions: Sequence[Span], number: int) -> float:
    return regions[number + 1][0] - regions[number][1]


def _padded(windows: Sequence[Span], duration_s: float) -> list[Span]:
    """The windows, widened into pauses up to half the distance to the next window, or by half the overlap at cuts."""
    padded: list[Span] = []
    for number, (start_s, end_s) in enumerate(windows):
        before_s = _widening(windows[number - 1][1], start_s) if number else PAD_S
        after_s = _widening(end_s, windows[number + 1][0]) if number + 1 < len(windows) else PAD_S
        padded.append((max(0.0, start_s - before_s), min(duration_s, end_s + after_s)))
    return padded


def _widening(end_s: float, next_start_s: float) -> float:
    pause_s = next_start_s - end_s
    return min(PAD_S, pause_s / 2) if pause_s > 0 else OVERLAP_S / 2
