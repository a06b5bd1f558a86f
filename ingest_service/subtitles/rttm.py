"""RTTM, the format of the NIST Rich Transcription evaluations: who spoke when, a line a turn."""

from collections.abc import Iterator

from shared.schemas.transcript import Transcript, Turn


def render_rttm(transcript: Transcript, file_id: str) -> str:
    """`SPEAKER file channel start duration …`, seconds, by start; turns of several speakers may overlap."""
    return "".join(_line(turn, file_id) for turn in sorted(_turns(transcript), key=lambda turn: turn.start))


def _turns(transcript: Transcript) -> Iterator[Turn]:
    """Those that were found, else the segments with a speaker."""
    if transcript.turns:
        yield from transcript.turns
        return
    for segment in transcript.segments:
        if segment.speaker:
            yield Turn(speaker=segment.speaker, start=segment.start, end=segment.end)


def _line(turn: Turn, file_id: str) -> str:
    name = "_".join(turn.speaker.split())  # fields are divided by spaces
    return f"SPEAKER {file_id} 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {name} <NA> <NA>\n"
