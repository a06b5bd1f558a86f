"""Merges the transcripts of consecutive stretches of audio. They meet in pauses, so no word is shared by two."""

from collections.abc import Iterable, Sequence

import msgspec

from shared.transcript import Segment, Transcript


def merge_transcripts(parts: Sequence[Transcript], *, duration_s: float) -> Transcript:
    """One transcript out of at least one, in order; segments are numbered anew, a warning of several is kept once."""
    return msgspec.structs.replace(
        parts[0],
        text=" ".join(part.text for part in parts if part.text),
        language=_language(parts),
        duration=round(duration_s, 3),
        segments=tuple(_numbered(segment for part in parts for segment in part.segments)),
        warnings=tuple(dict.fromkeys(warning for part in parts for warning in part.warnings)),
    )


def _numbered(segments: Iterable[Segment]) -> list[Segment]:
    return [msgspec.structs.replace(segment, id=number) for number, segment in enumerate(segments)]


def _language(parts: Sequence[Transcript]) -> str | None:
    """The language most of the text is in; parts without speech have no say."""
    spoken: dict[str, int] = {}
    for part in parts:
        if part.language and part.text:
            spoken[part.language] = spoken.get(part.language, 0) + len(part.text)
    return max(spoken, key=lambda code: spoken[code]) if spoken else parts[0].language
