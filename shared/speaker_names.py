"""Replace the labels of a transcript's speakers by names. Pure. Jobs and corrections use the same functions.

Two labels with one name become one speaker.
"""

from collections.abc import Mapping

import msgspec

from shared.schemas.transcript import Segment, Transcript, Turn


def with_names(transcript: Transcript, names: Mapping[str, str]) -> Transcript:
    """Return the transcript with names instead of labels."""
    speakers = dict.fromkeys(shown_name(names, label) for label in transcript.speakers)
    return msgspec.structs.replace(
        transcript,
        segments=tuple(renamed_segment(segment, names) for segment in transcript.segments),
        turns=tuple(renamed_turn(turn, names) for turn in transcript.turns),
        speakers=tuple(name for name in speakers if name is not None),
    )


def renamed_segment(segment: Segment, names: Mapping[str, str]) -> Segment:
    """Return the segment with the names of its speakers."""
    if not names:
        return segment
    words = segment.words
    if any(word.speaker in names for word in words):
        words = tuple(msgspec.structs.replace(word, speaker=shown_name(names, word.speaker)) for word in words)
    return msgspec.structs.replace(segment, speaker=shown_name(names, segment.speaker), words=words)


def renamed_turn(turn: Turn, names: Mapping[str, str]) -> Turn:
    """Return the turn with the name of its speaker."""
    name = shown_name(names, turn.speaker)
    return turn if name is None or name == turn.speaker else msgspec.structs.replace(turn, speaker=name)


def shown_name(names: Mapping[str, str], label: str | None) -> str | None:
    """Return the name of a label, or the label if it has none."""
    return " ".join(names[label].split()) if label is not None and label in names else label
