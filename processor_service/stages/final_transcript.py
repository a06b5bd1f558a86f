"""Makes the transcript of a whole file out of those of its chunks, and says what the client should know of it."""

from collections.abc import Sequence

import msgspec

from processor_service.transcribers.merge import merge_transcripts
from shared.transcript import ResultWarning, Transcript, WarningCode

NO_SPEECH = ResultWarning(code=WarningCode.NO_SPEECH, message="No speech was found in the audio.")


def final_transcript(
    chunks: Sequence[Transcript], *, duration_s: float, warnings: tuple[ResultWarning, ...] = ()
) -> Transcript:
    """The chunks in order, with the warnings of the job before their own; empty text is never without a reason."""
    merged = merge_transcripts(chunks, duration_s=duration_s)
    reasons = () if merged.text else (NO_SPEECH,)
    return msgspec.structs.replace(merged, warnings=(*warnings, *merged.warnings, *reasons))
