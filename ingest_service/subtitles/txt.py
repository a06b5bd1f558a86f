"""Plain text."""

from shared.schemas.transcript import Transcript


def render_txt(transcript: Transcript) -> str:
    """One line a segment."""
    lines = [" ".join(segment.text.split()) for segment in transcript.segments]
    return "".join(f"{line}\n" for line in lines if line)
