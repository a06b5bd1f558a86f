"""Render a transcript in the format that a request wants."""

from typing import Any, Literal

import msgspec

from ingest_service.edits.apply import apply_edits
from ingest_service.edits.fit import fit_edits, move_edits
from ingest_service.formats.search import Search, find_phrase
from ingest_service.openai_api.answers import Answer, render_answer
from shared.formats.paragraphs import with_paragraphs
from shared.formats.render import render_file
from shared.formats.style import PLAIN, FileFormat, Style, TextFormat
from shared.schemas.transcript import Transcript
from shared.schemas.transcript_edits import TranscriptEdits
from shared.subtitles.cue_size import CueSize

EditsForm = Literal["json", "fit", "move"]  # the edited transcript, or the edits: checked, or with other addresses
Wanted = TextFormat | FileFormat | EditsForm | Answer | Search


class Overlay(msgspec.Struct, frozen=True, kw_only=True):
    """Edits to lay over a transcript. `is_elsewhere`: they address one with other segments, before `diarize`."""

    edits: TranscriptEdits
    is_elsewhere: bool = False


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """All that a render depends on, beside the stored transcript. `size` is for subtitles and lyrics."""

    wanted: Wanted
    job_id: str  # the file name in RTTM
    size: CueSize = CueSize()
    style: Style = PLAIN
    overlay: Overlay | None = None


def render_json(stored: bytes, order: Order) -> bytes:
    """Render a stored transcript, with edits if there are any."""
    wanted, overlay = order.wanted, order.overlay
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
    return _rendered(_styled(apply_edits(transcript, edits), order.style), wanted, order)


def _styled(transcript: Transcript, style: Style) -> Transcript:
    if not style.normalize:
        return transcript
    from ingest_service.formats.normalize import normalized

    return normalized(transcript)


def _rendered(transcript: Transcript, wanted: Any, order: Order) -> bytes:
    if isinstance(wanted, Search):
        return msgspec.json.encode(find_phrase(transcript, wanted))
    if wanted == "json":
        return msgspec.json.encode(with_paragraphs(transcript) if order.style.paragraphs else transcript)
    return render_file(transcript, wanted, size=order.size, job_id=order.job_id, style=order.style)
