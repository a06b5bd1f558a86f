"""Render a transcript in a text format."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from ingest_service.edits.apply import apply_edits
from ingest_service.edits.fit import fit_edits, move_edits
from ingest_service.openai_api.answers import Answer, render_answer
from ingest_service.subtitles.cue_size import CueSize
from ingest_service.subtitles.cues import Cue, make_cues
from ingest_service.subtitles.display_width import display_width
from ingest_service.subtitles.pieces import CUE_ARROW, REPLACEMENT
from shared.schemas.transcript import Segment, Transcript, Turn
from shared.schemas.transcript_edits import TranscriptEdits

TextFormat = Literal["txt", "srt", "vtt", "tsv", "rttm"]
EditsForm = Literal["json", "fit", "move"]  # the edited transcript, or the edits: checked, or with other addresses
Wanted = TextFormat | EditsForm | Answer
MEDIA_TYPES: dict[TextFormat, str] = {  # the framework adds the charset to `text/…`
    "txt": "text/plain",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt",
    "tsv": "text/tab-separated-values",
    "rttm": "text/plain",
}


def text_type(wanted: TextFormat) -> str:
    """Return the media type for clients that decode only `text/…` as text."""
    media_type = MEDIA_TYPES[wanted]
    return media_type if media_type.startswith("text/") else "text/plain"


class Overlay(msgspec.Struct, frozen=True, kw_only=True):
    """Edits to lay over a transcript. `is_elsewhere`: they address one with other segments, before `diarize`."""

    edits: TranscriptEdits
    is_elsewhere: bool = False


def render_json(stored: bytes, wanted: Wanted, *, size: CueSize, job_id: str, overlay: Overlay | None = None) -> bytes:
    """Render a stored transcript, with edits if there are any."""
    if isinstance(wanted, Answer):
        return render_answer(stored, wanted)
    transcript = msgspec.json.decode(stored, type=Transcript)
    edits = overlay.edits if overlay else TranscriptEdits()
    if wanted == "fit":
        return msgspec.json.encode(fit_edits(transcript, edits))
    if overlay and overlay.is_elsewhere:
        edits = move_edits(transcript, edits)
    if wanted == "move":
        return msgspec.json.encode(edits)
    edited = apply_edits(transcript, edits)
    if wanted == "json":
        return msgspec.json.encode(edited)
    return render(edited, wanted, size=size, job_id=job_id).encode()


def render(transcript: Transcript, wanted: TextFormat, *, size: CueSize, job_id: str) -> str:
    """Render a transcript. `size` is for subtitles; the job's id is the file name in RTTM."""
    match wanted:
        case "txt":
            return render_txt(transcript)
        case "srt":
            return render_srt(transcript, size)
        case "vtt":
            return render_vtt(transcript, size)
        case "tsv":
            return render_tsv(transcript)
        case "rttm":
            return render_rttm(transcript, job_id)


def render_srt(transcript: Transcript, size: CueSize) -> str:
    """Render SubRip: numbered cues. With several speakers, each cue begins with its speaker's name.

    Names are left out if one of them would fill more than half of a line.
    """
    names = {segment.speaker for segment in transcript.segments if segment.speaker}
    labels = {name: f"{CUE_ARROW.sub('→', ' '.join(name.split()))}: " for name in names}
    if len(names) < 2 or max(map(display_width, labels.values())) > size.max_chars // 2:
        labels = {}
    cues = make_cues(transcript, size, lambda speaker: labels.get(speaker or "", ""))
    return "\n".join(f"{number}\n{_srt_cue(cue)}" for number, cue in enumerate(cues, start=1))


def _srt_cue(cue: Cue) -> str:
    times = f"{timestamp(cue.start_ms, ',')} --> {timestamp(cue.end_ms, ',')}"
    return "\n".join([times, *cue.lines, ""])


def render_vtt(transcript: Transcript, size: CueSize) -> str:
    """Render WebVTT: a header, and cues with their speaker in a voice tag."""
    return "\n".join(["WEBVTT\n", *map(_vtt_cue, make_cues(transcript, size))])


def _vtt_cue(cue: Cue) -> str:
    times = f"{timestamp(cue.start_ms, '.')} --> {timestamp(cue.end_ms, '.')}"
    text = "\n".join(map(_escaped, cue.lines))
    voice = f"<v {_escaped(' '.join(cue.speaker.split()))}>" if cue.speaker else ""
    return f"{times}\n{voice}{text}\n"


def _escaped(text: str) -> str:
    """Escape markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


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


def render_txt(transcript: Transcript) -> str:
    """Render plain text: one line a segment."""
    lines = map(_one_line, transcript.segments)
    return "".join(f"{line}\n" for line in lines if line)


def render_tsv(transcript: Transcript) -> str:
    """Render whisper's TSV: a header, and one line a segment with start and end in whole milliseconds."""
    lines = ((segment, _one_line(segment)) for segment in transcript.segments)
    rows = [f"{round(one.start * 1000)}\t{round(one.end * 1000)}\t{text}\n" for one, text in lines if text]
    return "".join(["start\tend\ttext\n", *rows])


def _one_line(segment: Segment) -> str:
    return " ".join(segment.text.replace(REPLACEMENT, "").split())


def timestamp(milliseconds: int, decimal_mark: str) -> str:
    """Return `HH:MM:SS,mmm`. Hours may have more than two digits."""
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    whole_s, ms = divmod(rest, 1000)
    return f"{hours:02}:{minutes:02}:{whole_s:02}{decimal_mark}{ms:03}"
