"""Render a transcript in a format: the one list of formats."""

import msgspec

from shared.formats.chapters import render_chapters, render_ffmetadata
from shared.formats.docx import render_docx
from shared.formats.html import render_html
from shared.formats.lrc import render_lrc
from shared.formats.md import render_md
from shared.formats.plain import render_rttm, render_tsv, render_txt
from shared.formats.srt import render_srt
from shared.formats.style import PLAIN, FileFormat, Style, TextFormat
from shared.formats.textgrid import render_textgrid
from shared.formats.vtt import render_vtt
from shared.schemas.transcript import Transcript
from shared.subtitles.cue_size import CueSize


def render_stored(stored: bytes, wanted: str, job_id: str) -> bytes:
    """Render a stored transcript as the format alone says, JSON too. Subtitles have the default size."""
    transcript = msgspec.json.decode(stored, type=Transcript)
    if wanted == "json":
        return msgspec.json.encode(transcript)
    return render_file(transcript, wanted, size=CueSize(), job_id=job_id)  # type: ignore[arg-type] # the caller checked


def render_file(
    transcript: Transcript, wanted: TextFormat | FileFormat, *, size: CueSize, job_id: str, style: Style = PLAIN
) -> bytes:
    """Render a transcript as the bytes of a file."""
    if wanted == "docx":
        return render_docx(transcript, style)
    return render(transcript, wanted, size=size, job_id=job_id, style=style).encode()


def render(  # noqa: C901, PLR0911 - one for each format
    transcript: Transcript, wanted: TextFormat, *, size: CueSize, job_id: str, style: Style = PLAIN
) -> str:
    """Render a transcript as text. `size` is for subtitles and lyrics; the job's id is the file name in RTTM."""
    match wanted:
        case "txt":
            return render_txt(transcript)
        case "srt":
            return render_srt(transcript, size, style)
        case "vtt":
            return render_vtt(transcript, size, style)
        case "tsv":
            return render_tsv(transcript)
        case "lrc":
            return render_lrc(transcript, size, style)
        case "md":
            return render_md(transcript, style)
        case "html":
            return render_html(transcript, style)
        case "textgrid":
            return render_textgrid(transcript)
        case "rttm":
            return render_rttm(transcript, job_id)
        case "chapters":
            return render_chapters(transcript)
        case "ffmetadata":
            return render_ffmetadata(transcript)
