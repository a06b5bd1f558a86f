"""Merges the transcripts of consecutive chunks into that of the whole file.

Cuts lie in pauses, so no word is shared by two chunks.
"""

from collections.abc import Iterable, Sequence

import msgspec

from shared.transcript import ResultWarning, Segment, Transcript, WarningCode

NO_SPEECH = ResultWarning(code=WarningCode.NO_SPEECH, message="No speech was found in the audio.")


def merge_transcripts(
    chunks: Sequence[Transcript], *, duration_s: float, warnings: tuple[ResultWarning, ...] = ()
) -> Transcript:
    """One transcript out of at least one, in order; segments are numbered anew, warnings are kept once each."""
    segments = tuple(_numbered(segment for chunk in chunks for segment in chunk.segments))
    text = " ".join(chunk.text for chunk in chunks if chunk.text)
    remarks = [*warnings, *(warning for chunk in chunks for warning in chunk.warnings)]
    if not text:
        remarks.append(NO_SPEECH)
    return msgspec.structs.replace(
        chunks[0],
        text=text,
        language=_language(chunks),
        duration=round(duration_s, 3),
        segments=segments,
        warnings=tuple(dict.fromkeys(remarks)),
    )


def _numbered(segments: Iterable[Segment]) -> list[Segment]:
    return [msgspec.structs.replace(segment, id=number) for number, segment in enumerate(segments)]


def _language(chunks: Sequence[Transcript]) -> str | None:
    """The language most of the text is in; chunks without speech have no say."""
    spoken: dict[str, int] = {}
    for chunk in chunks:
        if chunk.language and chunk.text:
            spoken[chunk.language] = spoken.get(chunk.language, 0) + len(chunk.text)
    return max(spoken, key=lambda code: spoken[code]) if spoken else chunks[0].language
