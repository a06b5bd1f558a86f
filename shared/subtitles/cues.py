"""Make subtitle cues of a transcript: each of one speaker, in order, without overlap on a channel."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, groupby, pairwise

import msgspec

from shared.schemas.transcript import Segment, Transcript
from shared.subtitles.cue_size import CueSize
from shared.subtitles.display_width import display_width
from shared.subtitles.lines import BreakCosts, Row, break_lines, ends_sentence, joined
from shared.subtitles.pieces import Piece, pieces_of
from shared.unspaced import is_unspaced

# The cuts of a stretch of speech have the least sum of costs (Knuth and Plass 1981). Every cue keeps its size and time.
# Costs favour cues that end with sentences or phrases, and avoid cues of one word or of a very short time.

STRETCH_PAUSE_S = 1.0  # no cue spans a longer pause
ANY_CUE = 1.5  # of each cue, so that there are few
SENTENCE_INSIDE = 2.0  # of a sentence that ends inside a cue
ONE_WORD = 3.0
SHORT = 3.0  # of a cue without any time; it falls to 0 at SHORT_S
SHORT_S = 1.2


def cut_cues(pieces: Sequence[Piece], size: CueSize, *, indent: int, costs: BreakCosts) -> Iterator[Sequence[Piece]]:
    """Divide the pieces of one speaker into cues. The first line of a cue has `indent` columns less."""
    for stretch in _stretches(pieces):
        ends = _Cutter(stretch, size, indent, costs).ends()
        yield from (stretch[start:end] for start, end in pairwise((0, *ends)))


def _stretches(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """Yield the pieces between long pauses."""
    start = 0
    for number in range(1, len(pieces)):
        if pieces[number].start_s - pieces[number - 1].end_s >= STRETCH_PAUSE_S:
            yield pieces[start:number]
            start = number
    if pieces:
        yield pieces[start:]


class _Cutter:
    """One stretch: the cost of each break, and the last possible end of each cue."""

    def __init__(self, pieces: Sequence[Piece], size: CueSize, indent: int, costs: BreakCosts) -> None:
        self._pieces, self._count = pieces, len(pieces)
        self._max_s = size.max_seconds
        self._breaks = [*(costs.between(before, after) for before, after in pairwise(pieces)), 0.0]
        self._sentences = list(accumulate((ends_sentence(piece) for piece in pieces), initial=0))
        self._last_ends = _last_ends(Row(pieces), size, indent)

    def ends(self) -> list[int]:
        """Return the ends of the cues with the least cost."""
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
        for end in range(start + 2, self._last_ends[start] + 1):
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


def _last_ends(row: Row, size: CueSize, indent: int) -> list[int]:
    """Return, for each piece, where a cue that begins there must end to fit its lines."""
    reaches = row.reaches(size.max_chars)
    ends = row.reaches(size.max_chars - indent)
    for _ in range(size.max_lines - 1):
        ends = [reaches[end] for end in ends]
    return ends


READABLE_MS = 1000  # the shortest time to read a cue
COLUMNS_PER_S = 17  # a comfortable reading speed
GAP_MS = 80  # two frames: without a gap, two cues look like one that changes

Label = Callable[[str | None], str]  # speaker → prefix of the cue's text


class Cue(msgspec.Struct, frozen=True):
    """Lines and the time in which they are shown."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    speaker: str | None = None
    language: str | None = None
    rows: tuple[Sequence[Piece], ...] = ()  # the pieces of each line, if they are wanted


def make_cues(
    transcript: Transcript, size: CueSize, label: Label = lambda _: "", *, has_rows: bool = False
) -> list[Cue]:
    """Return the cues of all channels, by start. The first line of a cue begins with its label."""
    costs = BreakCosts(transcript.language)
    cues: list[Cue] = []
    for channel in sorted({segment.channel for segment in transcript.segments}, key=lambda channel: channel or 0):
        segments = [segment for segment in transcript.segments if segment.channel == channel]
        spoken = [
            cue if has_rows else msgspec.structs.replace(cue, rows=())  # they hold all pieces in memory
            for turn in speaker_turns(segments)
            for cue in _cues_of(turn, size, label(turn[0].speaker), costs)
        ]
        cues += _readable(_apart(spoken, size), size, round(transcript.duration * 1000))
    return sorted(cues, key=lambda cue: cue.start_ms)


def speaker_turns(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Yield consecutive segments of one speaker."""
    for _, turn in groupby(segments, key=lambda segment: segment.speaker):
        yield list(turn)


def _cues_of(turn: Sequence[Segment], size: CueSize, label: str, costs: BreakCosts) -> Iterator[Cue]:
    indent = display_width(label)
    pieces = in_one_row([pieces_of(segment, size.max_chars - indent) for segment in turn])
    for group in cut_cues(pieces, size, indent=indent, costs=costs):
        rows = break_lines(group, size.max_chars, size.max_lines, indent=indent, costs=costs)
        lines = list(map(joined, rows))
        yield Cue(
            round(group[0].start_s * 1000),
            round(group[-1].end_s * 1000),
            (label + lines[0], *lines[1:]),
            turn[0].speaker,
            group[0].language,
            tuple(rows),
        )


def in_one_row(segments: Sequence[Sequence[Piece]]) -> list[Piece]:
    """Return the pieces of all segments, without spaces where the script has none. Times never decrease."""
    pieces: list[Piece] = []
    for segment in segments:
        for piece in segment:
            if pieces:
                piece = _after(pieces[-1], piece)  # noqa: PLW2901 - the same piece, adjusted
            pieces.append(piece)
    return pieces


def _after(before: Piece, piece: Piece) -> Piece:
    start_s = max(before.end_s, piece.start_s)
    if piece.begins_segment and is_unspaced(before.text[-1]) and is_unspaced(piece.text[0]):
        piece = piece._replace(is_spaced=False)
    return piece._replace(start_s=start_s, end_s=max(start_s, piece.end_s))


def _apart(cues: Sequence[Cue], size: CueSize) -> list[Cue]:
    """Remove overlaps, and limit the time of each cue."""
    apart: list[Cue] = []
    for cue in cues:
        start_ms = max(0, cue.start_ms, apart[-1].end_ms if apart else 0)
        end_ms = min(max(start_ms + 1, cue.end_ms), start_ms + size.max_ms)
        apart.append(msgspec.structs.replace(cue, start_ms=start_ms, end_ms=end_ms))
    return apart


def _readable(cues: Sequence[Cue], size: CueSize, duration_ms: int) -> Iterator[Cue]:
    """Extend cues that are too short to read into the pause after them."""
    for number, cue in enumerate(cues):
        wanted_ms = max(READABLE_MS, round(sum(map(display_width, cue.lines)) / COLUMNS_PER_S * 1000))
        until_ms = cues[number + 1].start_ms - GAP_MS if number + 1 < len(cues) else duration_ms
        longer_ms = min(until_ms, cue.start_ms + wanted_ms, cue.start_ms + size.max_ms)
        yield msgspec.structs.replace(cue, end_ms=max(cue.end_ms, longer_ms))
