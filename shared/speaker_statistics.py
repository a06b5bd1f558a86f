"""How much each speaker of a transcript talks, from the turns. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import msgspec

from shared.schemas.transcript import Segment, SpeakerStatistics, Transcript, Turn

# Without turns, segments of a speaker with a shorter pause are one turn. It is that of turns: `MAX_PAUSE_S` in
# processor_service/diarization/speaker_turns.py.
PAUSE_S = 2.0

Spans = Sequence[tuple[float, float]]


def with_statistics(transcript: Transcript) -> Transcript:
    """Return the transcript with statistics of its speakers, in their order."""
    return msgspec.structs.replace(transcript, speaker_statistics=speaker_statistics(transcript))


def speaker_statistics(transcript: Transcript) -> tuple[SpeakerStatistics, ...]:
    """Return the statistics of each speaker. Without turns, as with separate channels, segments say who talks."""
    turns = transcript.turns or list(_turns_of(transcript.segments))
    spans = {name: _joined(turns, name) for name in transcript.speakers}
    talk_s = {name: sum(end - start for start, end in own) for name, own in spans.items()}
    overlap_s = _overlaps(spans)
    words = _word_counts(transcript.segments)
    total_s = sum(talk_s.values())
    return tuple(
        SpeakerStatistics(
            speaker=name,
            talk_time=round(talk_s[name], 3),
            share=round(talk_s[name] / total_s, 4) if total_s else 0.0,
            turns=len(own),
            longest_turn=round(max((end - start for start, end in own), default=0.0), 3),
            overlap=round(overlap_s[name], 3),
            words=None if words is None else words[name],
            words_per_minute=None if words is None or not talk_s[name] else round(words[name] * 60 / talk_s[name], 1),
        )
        for name, own in spans.items()
    )


def _turns_of(segments: Iterable[Segment]) -> Iterator[Turn]:
    latest: dict[str, Turn] = {}
    for one in sorted((one for one in segments if one.speaker), key=lambda one: one.start):
        name = one.speaker or ""
        before = latest.get(name)
        if before is not None and one.start - before.end < PAUSE_S:
            latest[name] = msgspec.structs.replace(before, end=max(before.end, one.end))
            continue
        if before is not None:
            yield before
        latest[name] = Turn(speaker=name, start=one.start, end=one.end)
    yield from latest.values()


def _joined(turns: Iterable[Turn], name: str) -> Spans:
    """The spans of a speaker; turns that overlap, as those of two labels with one name, are one."""
    spans: list[tuple[float, float]] = []
    for start, end in sorted((turn.start, turn.end) for turn in turns if turn.speaker == name):
        if spans and start < spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], end)
        else:
            spans.append((start, end))
    return spans


def _overlaps(spans: Mapping[str, Spans]) -> dict[str, float]:
    """The seconds of each speaker while another one talks."""
    edges = sorted(
        (at, change, name)
        for name, own in spans.items()
        for span in own
        for at, change in zip(span, (1, -1), strict=True)
    )
    seconds = dict.fromkeys(spans, 0.0)
    talking: set[str] = set()
    for (at, change, name), (until, _, _) in pairwise(edges):
        (talking.add if change > 0 else talking.discard)(name)
        for each in talking if len(talking) > 1 else ():
            seconds[each] += until - at
    return seconds


def _word_counts(segments: Iterable[Segment]) -> Counter[str] | None:
    """The words of each speaker; None if no segment has words."""
    counts: Counter[str] = Counter()
    has_words = False
    for segment in segments:
        has_words = has_words or bool(segment.words)
        counts.update(name for word in segment.words if (name := word.speaker or segment.speaker))
    return counts if has_words else None
