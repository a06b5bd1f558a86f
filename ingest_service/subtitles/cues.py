"""Makes cues of subtitles out of a transcript: of one speaker each, rising, one at a time on each channel."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import msgspec

from ingest_service.subtitles.break_costs import BreakCosts
from ingest_service.subtitles.cut_cues import cut_cues
from ingest_service.subtitles.display_width import display_width
from ingest_service.subtitles.limits import CueLimits
from ingest_service.subtitles.lines import break_lines
from ingest_service.subtitles.pieces import Piece, is_unspaced, pieces_of
from shared.schemas.transcript import Segment, Transcript

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
