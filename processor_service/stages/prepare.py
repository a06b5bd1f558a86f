"""Prepare: probe, decode and split the source, and store its peaks.

The same attempt also transcribes and finishes a short file.
"""

import asyncio
import hashlib
from pathlib import Path

from processor_service.audio.tracks import TrackChoice
from processor_service.audio.write_chunks import ChunkFile, PreparedAudio
from processor_service.compute.messages import ChunkWritten, Prepared, Reply, SplitSource
from processor_service.stages import time_limits
from processor_service.stages.chunk import transcribe_and_denoise
from processor_service.stages.derived_bytes import budget_bytes
from processor_service.stages.diarize import label_again, require_nets
from processor_service.stages.final_transcript import final_transcript, store_peaks
from processor_service.stages.redact import is_original, redact_and_store, source_key
from processor_service.stages.speakers import chunk_voices, label_speakers, name_speakers, voices_share_of
from processor_service.stages.work import Work
from processor_service.tasks.outcomes import ChunkInput, JobDone, Split
from shared.blobs import blob_keys
from shared.failpoints import failpoint
from shared.schemas.transcript import ResultWarning, WarningCode

DECODING_SHARE = 0.1  # of a short file's processing time
DETECTED_IN_S = 300.0  # of the beginning, when only the language is wanted: a film may begin with music
UNDIVIDED_S = 1e9  # longer than any audio


async def prepare(work: Work) -> Split | JobDone:
    """Split the source into chunks; finish the job at once when there is only one chunk."""
    require_nets(work)
    source = await work.local_file(source_key(work.task), "source")
    if work.task.is_unhashed:
        await work.record_sha256(await asyncio.to_thread(_sha256, source))
    source_bytes = source.stat().st_size
    work.derived.open(budget_bytes(work.settings, source_bytes))
    chunks = _ChunkUploads(work)
    reply = await _split(work, source, source_bytes, chunks)
    prepared = reply.audio
    await store_peaks(work, reply.peaks, work.task.generation)
    await work.record_audio(prepared)  # which also records that this generation has the peaks
    warnings = _warnings(prepared)
    if len(chunks.inputs) > 1:
        await chunks.upload_rest()
        return Split(prepared.duration_s, tuple(chunks.inputs), warnings)
    return await _finish_inline(work, chunks.only_file(), prepared, warnings)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _split(work: Work, source: Path, source_bytes: int, chunks: "_ChunkUploads") -> Prepared:
    options = work.task.options
    only_beginning, part = options.detect_language_only, options.part
    request = SplitSource(
        source_path=str(source),
        out_dir=str(work.scratch),
        threshold_s=UNDIVIDED_S if only_beginning else work.settings.chunk_threshold_s,
        chunk_s=work.settings.chunk_s,
        max_audio_s=work.settings.max_audio_seconds,
        track=options.track if is_original(work.task) else None,
        part=part.first(DETECTED_IN_S) if only_beginning else part,
    )
    time_limit = time_limits.splitting(work.settings, source_bytes=source_bytes, skipped_s=part.start_s)
    return await work.ask(request, Prepared, time_limit=time_limit, span=(0, DECODING_SHARE), on_reply=chunks.written)


async def _finish_inline(
    work: Work, chunk: ChunkFile, prepared: PreparedAudio, warnings: tuple[ResultWarning, ...]
) -> JobDone:
    if work.task.text_generation is not None:
        voices = await chunk_voices(work, chunk, span=(DECODING_SHARE, 1))
        return await label_again(work, work.task.text_generation, [voices])
    until = max(DECODING_SHARE, 1 - voices_share_of(work.task.options))
    transcript, denoised = await transcribe_and_denoise(work, chunk, span=(DECODING_SHARE, until))
    labelled = await label_speakers(work, [transcript], [await chunk_voices(work, chunk, span=(until, 1))])
    merged = await asyncio.to_thread(
        final_transcript,
        labelled.transcripts,
        work.task.options,
        duration_s=prepared.duration_s,
        turns=labelled.turns,
        warnings=(*warnings, *labelled.warnings),
    )
    merged = await name_speakers(work, merged, labelled.matches)
    merged = await redact_and_store(work, merged, denoised)
    return JobDone(merged.warnings, merged.engine, merged.model, len(merged.speakers))


class _ChunkUploads:
    """Uploads chunk files while the child writes the next ones, so that scratch space stays small.

    The upload of the first chunk waits for the second: a single chunk is never uploaded.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._pending: list[ChunkFile] = []
        self.inputs: list[ChunkInput] = []

    async def written(self, reply: Reply) -> None:
        if not isinstance(reply, ChunkWritten):
            return
        self._pending.append(reply.chunk)
        self.inputs.append(ChunkInput.of(reply.chunk))
        if len(self.inputs) > 1:
            await self.upload_rest()

    async def upload_rest(self) -> None:
        task = self._work.task
        while self._pending:
            chunk = self._pending.pop(0)
            path = Path(chunk.path)
            failpoint("prepare.before_chunk_put")
            await self._work.put(blob_keys.chunk_audio(task.job_id, task.chunk_generation, chunk.ordinal), path)
            failpoint("prepare.after_chunk_put")
            path.unlink()  # noqa: ASYNC240 - instant, and the scratch folder is local

    def only_file(self) -> ChunkFile:
        (chunk,) = self._pending
        self._work.derived.charge(Path(chunk.path).stat().st_size)
        return chunk


def _warnings(prepared: PreparedAudio) -> tuple[ResultWarning, ...]:
    """Return the warnings that are known after decoding."""
    warnings = [*_track_warnings(prepared.track_choice), *_clock_warnings(prepared)]
    if prepared.decode_errors:
        message = f"{prepared.decode_errors} damaged parts of the audio could not be decoded and were skipped."
        warnings.append(ResultWarning(code=WarningCode.DECODE_ERRORS, message=message))
    if prepared.unread_bytes:
        message = f"{prepared.unread_bytes} bytes of the file are not audio in a known format and were not read."
        warnings.append(ResultWarning(code=WarningCode.TRAILING_DATA, message=message))
    return tuple(warnings)


def _track_warnings(choice: TrackChoice) -> list[ResultWarning]:
    reasons = []
    if choice.preferred is not None:
        reasons.append(
            f"The main audio track, {choice.preferred}, has no speech: track {choice.number} was transcribed."
        )
    if choice.others:
        others = ", ".join(map(str, choice.others))
        reasons.append(f"Track {choice.number} was transcribed. These tracks also have speech: {others}.")
    return [
        ResultWarning(code=WarningCode.OTHER_TRACKS, message=f"{one} The option `track` chooses.") for one in reasons
    ]


def _clock_warnings(prepared: PreparedAudio) -> list[ResultWarning]:
    missing = "The file has no sound here; silence takes its place."
    jump = "The time stamps of the file jump here and were not believed; times after this may be wrong."
    return [
        *(_warning(WarningCode.AUDIO_MISSING, missing, start, end) for start, end in prepared.missing_s),
        *(_warning(WarningCode.TIME_STAMPS_IGNORED, jump, at, at) for at in prepared.jumps_s),
    ]


def _warning(code: WarningCode, message: str, start: float, end: float) -> ResultWarning:
    return ResultWarning(code=code, message=message, start=round(start, 3), end=round(end, 3))
