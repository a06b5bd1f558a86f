"""Packs speech into windows for the model: at most 30 s each, beginning and ending in pauses, silences left out.

Pure decisions on regions of speech. What is never shown to the model it cannot make words up for.
"""

from collections.abc import Sequence

from processor_service.transcribers.protocol import Span

MODEL_WINDOW_S = 30.0  # what Whisper's encoder takes
PAD_S = 0.3  # of the silence around a window is kept: Whisper drops sentences that begin or end at the very edge
MAX_SPEECH_S = MODEL_WINDOW_S - 2 * PAD_S
MAX_SILENCE_S = 2.0  # a longer pause divides windows: the model takes it for the end
FULL_FROM = 0.7  # of a window: from here on it may be closed at a pause
GOOD_PAUSE_S = 0.5  # a longer one is no better place to cut


def plan_windows(speech: Sequence[Span], duration_s: float) -> list[Span]:
    """Windows over rising regions of speech, which should be told apart by pauses as short as 0.1 s.

    Speech without any pause is cut where the longest window ends.
    """
    regions = [piece for region in speech for piece in _bounded(region)]
    windows: list[Span] = []
    first = 0
    while first < len(regions):
        last = _last_of_window(regions, first)
        windows.append((regions[first][0], regions[last][1]))
        first = last + 1
    return _padded(windows, duration_s)


def _bounded(region: Span) -> list[Span]:
    """A region cut evenly into such as fit a window."""
    start_s, end_s = region
    pieces = max(1, -(-int((end_s - start_s) * 1000) // int(MAX_SPEECH_S * 1000)))
    step_s = (end_s - start_s) / pieces
    return [(start_s + number * step_s, start_s + (number + 1) * step_s) for number in range(pieces)]


def _last_of_window(regions: Sequence[Span], first: int) -> int:
    """The region that a window begun with `first` ends with: before a long silence, else at the best late pause."""
    start_s = regions[first][0]
    last = first
    while last + 1 < len(regions) and regions[last + 1][1] - start_s <= MAX_SPEECH_S:
        if _pause_after(regions, last) > MAX_SILENCE_S:
            return last
        last += 1
    if last + 1 == len(regions):
        return last
    late = [n for n in range(first, last + 1) if regions[n][1] - start_s >= FULL_FROM * MAX_SPEECH_S]
    return max(late or [last], key=lambda n: (min(_pause_after(regions, n), GOOD_PAUSE_S), n))


def _pause_after(regions: Sequence[Span], number: int) -> float:
    return regions[number + 1][0] - regions[number][1]


def _padded(windows: Sequence[Span], duration_s: float) -> list[Span]:
    """Each widened, but no further than half-way to its neighbours and never beyond the audio."""
    padded: list[Span] = []
    for number, (start_s, end_s) in enumerate(windows):
        before_s = (windows[number - 1][1] + start_s) / 2 if number else 0.0
        after_s = (end_s + windows[number + 1][0]) / 2 if number + 1 < len(windows) else duration_s
        padded.append((max(before_s, start_s - PAD_S), min(after_s, end_s + PAD_S)))
    return padded
