"""Each channel of a recording as a speaker of its own, as in calls with one party a channel."""

from collections.abc import Sequence
from itertools import chain

import msgspec

from shared.schemas.transcript import Transcript


def as_channel(transcript: Transcript, channel: int) -> Transcript:
    """The transcript of one channel, counted from 0, with its speaker named after it."""
    name = f"SPEAKER_{channel:02}"
    segments = tuple(msgspec.structs.replace(segment, channel=channel, speaker=name) for segment in transcript.segments)
    return msgspec.structs.replace(transcript, segments=segments)


def merge_channels(parts: Sequence[Transcript]) -> Transcript:
    """One transcript of at least one channel: segments in the order in which they begin."""
    if len(parts) == 1:
        return parts[0]
    in_order = sorted(chain.from_iterable(part.segments for part in parts), key=lambda one: (one.start, one.end))
    most = max(parts, key=lambda part: len(part.text))
    return msgspec.structs.replace(
        most,
        text=" ".join(segment.text for segment in in_order),
        segments=tuple(msgspec.structs.replace(segment, id=number) for number, segment in enumerate(in_order)),
        warnings=tuple(dict.fromkeys(chain.from_iterable(part.warnings for part in parts))),
    )
