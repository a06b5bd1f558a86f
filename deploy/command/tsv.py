"""Make whisper's tsv of a transcript: start and end in milliseconds, and the text. For services without the format."""

from shared.schemas.transcript import Transcript


def render_tsv(transcript: Transcript) -> bytes:
    """Render a transcript."""
    lines = ["start\tend\ttext"]
    for segment in transcript.segments:
        text = " ".join(segment.text.split())
        if text:
            lines.append(f"{round(segment.start * 1000)}\t{round(segment.end * 1000)}\t{text}")
    return ("\n".join(lines) + "\n").encode()
