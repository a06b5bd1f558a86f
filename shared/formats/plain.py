"""Plain text, whisper's TSV, and RTTM: one line a segment or a turn."""

from collections.abc import Iterator

from shared.schemas.transcript import Segment, Transcript, Turn
from shared.subtitles.pieces import REPLACEMENT


def render_txt(transcript: Transcript) -> str:
    """Render plain text: one line a segment."""
    lines = map(one_line, transcript.segments)
    return "".join(f"{line}\n" for line in lines if line)


def render_tsv(transcript: Transcript) -> str:
    """Render whisper's TSV: a header, and one line a segment with start and end in whole milliseconds."""
    lines = ((segment, one_line(segment)) for segment in transcript.segments)
    rows = [f"{round(one.start * 1000)}\t{round(one.end * 1000)}\t{text}\n" for one, text in lines if text]
    return "".join(["start\tend\ttext\n", *rows])


def one_line(segment: Segment) -> str:
    """Return the text of a segment in one line."""
    return " ".join(segment.text.replace(REPLACEMENT, "").split())


def render_rttm(transcript: Transcript, file_id: str) -> str:
    """Render RTTM, the format of the NIST Rich Transcription evaluations: one line a turn, by start, in seconds.

    Turns of several speakers may overlap.
    """
    return "".join(_line(turn, file_id) for turn in sorted(_turns(transcript), key=lambda turn: turn.start))


def _turns(transcript: Transcript) -> Iterator[Turn]:
    """Yield the transcript's turns, or else its segments with a speaker."""
    if transcript.turns:
        yield from transcript.turns
        return
    for segment in transcript.segments:
        if segment.speaker:
            yield Turn(speaker=segment.speaker, start=segment.start, end=segment.end)


def _line(turn: Turn, file_id: str) -> str:
    name = "_".join(turn.speaker.split())  # fields are separated by spaces
    return f"SPEAKER {file_id} 1 {turn.start:.3f} {turn.end - turn.start:.3f} <NA> <NA> {name} <NA> <NA>\n"
