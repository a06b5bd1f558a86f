"""Makes cues of subtitles out of a transcript: of one speaker each, rising, one at a time on each channel."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, groupby, pairwise

import msgspec

from ingest_service.subtitles.display_width import display_width
from ingest_service.subtitles.limits import CueLimits
from ingest_service.subtitles.lines import BreakCosts, Row, break_lines, ends_sentence
from ingest_service.subtitles.pieces import Piece, is_unspaced, pieces_of
from shared.schemas.transcript import Segment, Transcript

# Decides which pieces share a cue: the way to cut a stretch of speech that costs least in all (Knuth and Plass 1981).
#
# Every cue fits its lines and its time. Cues end with sentences and phrases, and none is but a word or a flash where
# that can be helped.

STRETCH_PAUSE_S = 1.0  # no cue stays on the screen over a longer pause
ANY_CUE = 1.5  # a cue costs so much, that there are not more than are needed
SENTENCE_INSIDE = 2.0  # a sentence that ends in the middle of a cue: better in two, unless one is very short
ONE_WORD = 3.0
SHORT = 3.0  # cost of a cue without any time; none from here on:
SHORT_S = 1.2


def cut_cues(
    pieces: Sequence[Piece], limits: CueLimits, *, indent: int, costs: BreakCosts
) -> Iterator[Sequence[Piece]]:
    """The pieces of one speaker, divided; each must fit in a line whose first `indent` columns are taken."""
    for stretch in _stretches(pieces):
        ends = _Cutter(stretch, limits, indent, costs).ends()
        yield from (stretch[start:end] for start, end in pairwise((0, *ends)))


def _stretches(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """What lies between long pauses."""
    start = 0
    for number in range(1, len(pieces)):
        if pieces[number].start_s - pieces[number - 1].end_s >= STRETCH_PAUSE_S:
            yield pieces[start:number]
            start = number
    if pieces:
        yield pieces[start:]


class _Cutter:
    """One stretch: what each break costs, and how far each cue may go."""

    def __init__(self, pieces: Sequence[Piece], limits: CueLimits, indent: int, costs: BreakCosts) -> None:
        self._pieces, self._count = pieces, len(pieces)
        self._max_s = limits.max_seconds
        self._breaks = [*(costs.between(before, after) for before, after in pairwise(pieces)), 0.0]
        self._sentences = list(accumulate((ends_sentence(piece) for piece in pieces), initial=0))
        self._room = _room(Row(pieces), limits, indent)

    def ends(self) -> list[int]:
        """Where the cues of the cheapest way end."""
        best, previous = [0.0] + [float("inf")] * self._count, [0] * (self._count + 1)
        for start in range(self._count):
            for end in self._possible_ends(start):
                cost = best[start] + self._cost(start, end)
                if cost < best[end]:
                    best[end], previous[end] = cost, start
        ends = [self._count]
        while previous[ends[-1]]:
            ends.append(previous[ends[-1]])
        return ends[::-1]

    def _possible_ends(self, start: int) -> Iterator[int]:
        yield start + 1
        for end in range(start + 2, self._room[start] + 1):
            if self._pieces[end - 1].end_s - self._pieces[start].start_s > self._max_s:
                return
            yield end

    def _cost(self, start: int, end: int) -> float:
        inside = self._sentences[end - 1] - self._sentences[start]
        until_s = self._pieces[end].start_s if end < self._count else self._pieces[end - 1].end_s + STRETCH_PAUSE_S
        shown_s = until_s - self._pieces[start].start_s
        return (
            ANY_CUE
            + self._breaks[end - 1]
            + SENTENCE_INSIDE * inside
            + SHORT * max(0.0, 1 - shown_s / SHORT_S)
            + (ONE_WORD if end - start == 1 < self._count else 0.0)
        )


def _room(row: Row, limits: CueLimits, indent: int) -> list[int]:
    """For each piece, where a cue that begins with it must end for its lines to be full."""
    reaches = row.reaches(limits.max_chars)
    room = row.reaches(limits.max_chars - indent)
    for _ in range(limits.max_lines - 1):
        room = [reaches[end] for end in room]
    return room


READABLE_MS = 1000  # the shortest time to read anything
COLUMNS_PER_S = 17  # that people read with ease
GAP_MS = 80  # two frames: without, two cues look like one that changes

Label = Callable[[str | None], str]  # what stands before the text of a speaker


class Cue(msgspec.Struct, frozen=True):
    """What is shown at a time."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    speaker: str | None = None


def make_cues(transcript: Transcript, limits: CueLimits, label: Label = lambda _: "") -> list[Cue]:
    """The cues of all channels, by their start; a label takes its place in the first line of each."""
    costs = BreakCosts(transcript.language)
    cues: list[Cue] = []
    for channel in sorted({segment.channel for segment in transcript.segments}, key=lambda one: one or 0):
        segments = [segment for segment in transcript.segments if segment.channel == channel]
        spoken = [cue for turn in _turns(segments) for cue in _cues_of(turn, limits, label(turn[0].speaker), costs)]
        cues += _readable(_apart(spoken, limits), limits, round(transcript.duration * 1000))
    return sorted(cues, key=lambda cue: cue.start_ms)


def _turns(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Segments that follow one another and are one speaker's."""
    for _, turn in groupby(segments, key=lambda segment: segment.speaker):
        yield list(turn)


def _cues_of(turn: Sequence[Segment], limits: CueLimits, label: str, costs: BreakCosts) -> Iterator[Cue]:
    indent = display_width(label)
    pieces = _running([pieces_of(segment, limits.max_chars - indent) for segment in turn])
    for group in cut_cues(pieces, limits, indent=indent, costs=costs):
        lines = break_lines(group, limits.max_chars, limits.max_lines, indent=indent, costs=costs)
        yield Cue(
            round(group[0].start_s * 1000),
            round(group[-1].end_s * 1000),
            (label + lines[0], *lines[1:]),
            turn[0].speaker,
        )


def _running(segments: Sequence[Sequence[Piece]]) -> list[Piece]:
    """The pieces of all segments; no space stands between two where the script has none. Times rise."""
    pieces: list[Piece] = []
    for segment in segments:
        for piece in segment:
            if pieces:
                piece = _after(pieces[-1], piece)  # noqa: PLW2901 - the same piece, where it belongs
            pieces.append(piece)
    return pieces


def _after(before: Piece, piece: Piece) -> Piece:
    start_s = max(before.end_s, piece.start_s)
    if piece.begins_segment and is_unspaced(before.text[-1]) and is_unspaced(piece.text[0]):
        piece = piece._replace(is_spaced=False)
    return piece._replace(start_s=start_s, end_s=max(start_s, piece.end_s))


def _apart(cues: Sequence[Cue], limits: CueLimits) -> list[Cue]:
    """Each after the one before it, and of some length but not of too much."""
    apart: list[Cue] = []
    for cue in cues:
        start_ms = max(0, cue.start_ms, apart[-1].end_ms if apart else 0)
        end_ms = min(max(start_ms + 1, cue.end_ms), start_ms + limits.max_ms)
        apart.append(msgspec.structs.replace(cue, start_ms=start_ms, end_ms=end_ms))
    return apart


def _readable(cues: Sequence[Cue], limits: CueLimits, duration_ms: int) -> Iterator[Cue]:
    """The same, those that are too short to be read kept on the screen in the pause that follows them."""
    for number, cue in enumerate(cues):
        wanted_ms = max(READABLE_MS, round(sum(map(display_width, cue.lines)) / COLUMNS_PER_S * 1000))
        until_ms = cues[number + 1].start_ms - GAP_MS if number + 1 < len(cues) else duration_ms
        longer_ms = min(until_ms, cue.start_ms + wanted_ms, cue.start_ms + limits.max_ms)
        yield msgspec.structs.replace(cue, end_ms=max(cue.end_ms, longer_ms))
