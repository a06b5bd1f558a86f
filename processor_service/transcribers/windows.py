"""Packs speech into windows for the model: at most 30 s each, beginning and ending in pauses, silences left out.

Pure decisions on regions of speech. What is never shown to the model it cannot make words up for. Only speech without
any pause is cut within; the windows on both sides of such a cut overlap.
"""

from collections.abc import Iterator, Sequence
from math import ceil

from processor_service.transcribers.transcriber import Span

MODEL_WINDOW_S = 30.0  # what Whisper's encoder takes
PAD_S = 0.3  # of the silence around a window is kept: Whisper drops sentences that begin or end at the very edge
OVERLAP_S = 3.0  # what both windows hear around a cut through speech: some words before and after it
MAX_SILENCE_S = 2.0  # a longer pause divides windows: the model takes it for the end
GOOD_PAUSE_S = 1.0  # a longer one is no better place to cut
CUT_COST = 2.0  # of a cut without a pause, in windows: with less, plans begun at different places take long to agree


def plan_windows(speech: Sequence[Span], duration_s: float) -> list[Span]:
    """Windows over rising regions of speech, which should be told apart by pauses as short as 0.1 s.

    The fewest windows with the best cuts, over all of the audio: so that a plan does not hang on where it begins, and a
    file that was cut into chunks is heard in the same windows, but for those next to a cut.
    """
    regions = [piece for region in speech for piece in _bounded(region)]
    costs, firsts = [0.0], [0]  # of the best plan for the first n regions, and where its last window begins
    for last in range(len(regions)):
        cut_cost = _cut_cost(regions, last)
        ways = [(costs[first] + 1 + cut_cost, first) for first in _possible_firsts(regions, last)]
        cost, first = min(ways)
        costs.append(cost)
        firsts.append(first)
    return _padded(_windows(regions, firsts), duration_s)


def _windows(regions: Sequence[Span], firsts: Sequence[int]) -> list[Span]:
    windows: list[Span] = []
    end = len(regions)
    while end:
        windows.append((regions[firsts[end]][0], regions[end - 1][1]))
        end = firsts[end]
    return windows[::-1]


def _possible_firsts(regions: Sequence[Span], last: int) -> Iterator[int]:
    """The regions that a window which ends with `last` may begin with."""
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
    """A region, cut evenly into such as fit a window with the overlaps."""
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
    """Each widened: into pauses, but no further than half-way to its neighbour; across cuts by half the overlap."""
    padded: list[Span] = []
    for number, (start_s, end_s) in enumerate(windows):
        before_s = _widening(windows[number - 1][1], start_s) if number else PAD_S
        after_s = _widening(end_s, windows[number + 1][0]) if number + 1 < len(windows) else PAD_S
        padded.append((max(0.0, start_s - before_s), min(duration_s, end_s + after_s)))
    return padded


def _widening(end_s: float, next_start_s: float) -> float:
    pause_s = next_start_s - end_s
    return min(PAD_S, pause_s / 2) if pause_s > 0 else OVERLAP_S / 2
