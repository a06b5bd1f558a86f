"""A transcript in the format that a client asks for."""

from typing import Literal

from ingest_service.subtitles.limits import CueLimits
from ingest_service.subtitles.rttm import render_rttm
from ingest_service.subtitles.srt import render_srt
from ingest_service.subtitles.txt import render_txt
from ingest_service.subtitles.vtt import render_vtt
from shared.schemas.transcript import Transcript

TextFormat = Literal["txt", "srt", "vtt", "rttm"]
MEDIA_TYPES: dict[TextFormat, str] = {
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "rttm": "text/plain; charset=utf-8",
}


def render(transcript: Transcript, wanted: TextFormat, *, limits: CueLimits, job_id: str) -> str:
    """`limits` are for subtitles; the job's id is the name of the file in RTTM."""
    match wanted:
        case "txt":
            return render_txt(transcript)
        case "srt":
            return render_srt(transcript, limits)
        case "vtt":
            return render_vtt(transcript, limits)
        case "rttm":
            return render_rttm(transcript, job_id)
