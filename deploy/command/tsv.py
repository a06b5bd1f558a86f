"""Make whisper's tsv of a transcript: start and end in milliseconds, and the text. For services without the format."""

import msgspec

from shared.schemas.transcript import Transcript


def render_tsv(stored: bytes) -> bytes:
    """Render a transcript's JSON. Raise msgspec.MsgspecError."""
    transcript = msgspec.json.decode(stored, type=Transcript)
    lines = ["start\tend\ttext"]
    for segment in transcript.segments:
        text = " ".join(segment.text.split())
        if text:
            lines.append(f"{round(segment.start * 1000)}\t{round(segment.end * 1000)}\t{text}")
    return ("\n".join(lines) + "\n").encode()
