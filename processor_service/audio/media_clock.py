"""Put the decoded sounds of a track on the clock of their file: gaps become silence, overlaps are cut. Pure.

Time stamps are judged, not believed. A jump counts only if the following sounds continue from it, if it is not absurd,
and if it stays within the length of the file. Otherwise sounds are consecutive. FFmpeg's `aresample=async=1` believes
every time stamp: one wrong one makes it drop or pad all that follows.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from statistics import median
from typing import Generic, TypeVar

import msgspec

Content = TypeVar("Content")

# Deviations that are not heard: rounding to milliseconds, priming of codecs, time stamps of arrival.
JITTER_S = 0.1
STEADY_S = 0.05  # the time stamps after a jump continue with at most this jitter
PROOF_S, PROOF_SOUNDS = 0.25, 3  # so much must follow a jump
MAX_HELD_SOUNDS = 64  # or this, if sounds are tiny
LAST_SOUNDS, MAX_LAST_GAP_S = 2, 10.0  # or this at the end of the track, after a shorter gap
MAX_GAP_S = 3600.0
MAX_OVERLAP_S = 1.0  # what goes back further is cut only if it repeats the sound: it may be a restarted clock
MAX_REPEAT_S, REPEAT_PROOF_S = 30.0, 1.0
MISSING_S = 0.5  # shorter gaps are not reported
MAX_REPORTED = 20


class Sound(msgspec.Struct, Generic[Content], frozen=True, kw_only=True):
    """A part of a track with its time stamp, None if it has none."""

    content: Content
    start_s: float | None
    length_s: float


class Silence(msgspec.Struct, frozen=True):
    """Silence to insert."""

    length_s: float


class Play(msgspec.Struct, Generic[Content], frozen=True):
    """A content to play without its first `cut_s` seconds."""

    content: Content
    cut_s: float = 0.0


class ClockReport(msgspec.Struct, kw_only=True):
    """What the client must know about the clock. Seconds from the start of the output."""

    missing: list[tuple[float, float]] = []  # spans without sound inside the track
    ignored: list[float] = []  # where time stamps jumped and were not believed

    def add_missing(self, start_s: float, end_s: float) -> None:
        if end_s - start_s >= MISSING_S and len(self.missing) < MAX_REPORTED:
            self.missing.append((start_s, end_s))

    def add_ignored(self, at_s: float) -> None:
        if len(self.ignored) < MAX_REPORTED:
            self.ignored.append(at_s)

    def add(self, other: "ClockReport", offset_s: float) -> None:
        """Add the report of a part that begins at `offset_s`."""
        for start_s, end_s in other.missing:
            self.add_missing(start_s + offset_s, end_s + offset_s)
        for at_s in other.ignored:
            self.add_ignored(at_s + offset_s)


class MediaClock(Generic[Content]):
    """One pass over a track. `origin_s` is the time stamp of the output's start; silence stays before `limit_s`.

    `repeats` says whether contents sound like those that were played from a position on.
    """

    def __init__(
        self,
        *,
        origin_s: float = 0.0,
        limit_s: float | None = None,
        repeats: Callable[[Sequence[Content], float], bool] = lambda _contents, _position_s: False,
    ) -> None:
        self._offset_s = origin_s  # time stamp minus position
        self._limit_s = limit_s
        self._repeats = repeats
        self._held: deque[Sound[Content]] = deque()  # the sounds after a jump that is not judged yet
        self._to_cut_s = 0.0
        self.position_s = 0.0
        self.report = ClockReport()

    def place(self, sounds: Iterable[Sound[Content]]) -> Iterator[Silence | Play[Content]]:
        """The steps that put the sounds on the clock, in order."""
        for sound in sounds:
            self._held.append(sound)
            yield from self._judge(PROOF_SOUNDS, PROOF_S, MAX_GAP_S)
        while self._held:
            yield from self._judge(LAST_SOUNDS, 0.0, MAX_LAST_GAP_S)
            if self._held:
                yield from self._play_first()

    def _judge(self, proof_sounds: int, proof_s: float, max_gap_s: float) -> Iterator[Silence | Play[Content]]:
        """Play the held sounds that are in time, and correct a jump that has been proved."""
        while self._held:
            late_s = lateness(self._held, self._offset_s + self.position_s - self._to_cut_s)
            if abs(late_s[0]) <= JITTER_S:
                yield from self._play_first()
            elif not self._is_proved(proof_sounds, max(proof_s, REPEAT_PROOF_S * (late_s[0] < -MAX_OVERLAP_S))):
                return
            elif max(late_s) - min(late_s) > STEADY_S:
                yield from self._play_first()
            else:
                yield from self._correct(median(late_s), max_gap_s)
                yield from self._play_first()

    def _is_proved(self, proof_sounds: int, proof_s: float) -> bool:
        count = len(self._held)
        held_s = sum(one.length_s for one in self._held)
        return count >= proof_sounds and (held_s >= proof_s or count >= MAX_HELD_SOUNDS)

    def _correct(self, late_s: float, max_gap_s: float) -> Iterator[Silence]:
        if 0 < late_s <= max_gap_s and self._is_within_limit(late_s):
            if self.position_s > 0:
                self.report.add_missing(self.position_s, self.position_s + late_s)
            self.position_s += late_s
            yield Silence(late_s)
        elif late_s < 0 and self._is_overlap(-late_s):
            self._to_cut_s = -late_s
        else:
            self.report.add_ignored(self.position_s)
            self._offset_s += late_s

    def _is_overlap(self, back_s: float) -> bool:
        """Whether to cut what goes back. A clock that starts again at its beginning is that of another recording."""
        if back_s <= MAX_OVERLAP_S:
            return True
        start_s = self.position_s - back_s
        may_repeat = back_s <= MAX_REPEAT_S and start_s > MAX_OVERLAP_S
        return may_repeat and self._repeats([sound.content for sound in self._held], start_s)

    def _is_within_limit(self, late_s: float) -> bool:
        return self._limit_s is None or self.position_s + late_s <= self._limit_s

    def _play_first(self) -> Iterator[Play[Content]]:
        sound = self._held.popleft()
        cut_s = min(self._to_cut_s, sound.length_s)
        self._to_cut_s -= cut_s
        self.position_s += sound.length_s - cut_s
        if cut_s < sound.length_s:
            yield Play(sound.content, cut_s)


def lateness(sounds: Iterable[Sound[Content]], expected_s: float) -> list[float]:
    """How many seconds after the end of the sounds before it each time stamp is; negative: before that.

    The sounds are taken as consecutive from `expected_s`. One without a time stamp is as late as its predecessor.
    """
    late_s: list[float] = []
    for sound in sounds:
        late_s.append((late_s[-1] if late_s else 0.0) if sound.start_s is None else sound.start_s - expected_s)
        expected_s += sound.length_s
    return late_s
