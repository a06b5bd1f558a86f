"""Chunk: transcribe and denoise one chunk of a long file, find the voices in it, and store all that beside it."""

import msgspec

from processor_service.audio.write_chunks import ChunkFile
from processor_service.stages.process_chunk import process_chunk
from processor_service.stages.speakers import find_voices, voices_share_of
from processor_service.stages.work import Work
from processor_service.tasks.outcomes import ChunkDone, ChunkInput
from shared.blobs import blob_keys
from shared.failpoints import failpoint


async def chunk(work: Work) -> ChunkDone:
    """Do one chunk."""
    job_id, generation, ordinal = work.task.job_id, work.task.chunk_generation, work.task.ordinal
    file = await _chunk_file(work)
    voices_share = voices_share_of(work.task.options)
    transcript, denoised = await process_chunk(work, file, span=(0, 1 - voices_share))
    voices = await find_voices(work, file, span=(1 - voices_share, 1))
    failpoint("chunk.before_put")
    if denoised:
        await work.blobs.put(blob_keys.chunk_denoised(job_id, generation, ordinal), denoised)
    if voices:
        await work.blobs.put(blob_keys.chunk_voices(job_id, generation, ordinal), voices)
    failpoint("chunk.between_puts")
    await work.blobs.put(blob_keys.chunk_transcript(job_id, generation, ordinal), msgspec.json.encode(transcript))
    failpoint("chunk.after_put")
    return ChunkDone()


async def _chunk_file(work: Work) -> ChunkFile:
    task = work.task
    path = await work.local_file(blob_keys.chunk_audio(task.job_id, task.chunk_generation, task.ordinal), "chunk.flac")
    span = msgspec.json.decode(task.input or b"", type=ChunkInput)
    return ChunkFile(
        path=str(path),
        ordinal=task.ordinal,
        file_start_frame=span.file_start_frame,
        core_start_frame=span.core_start_frame,
        core_end_frame=span.core_end_frame,
        sample_rate_hz=span.sample_rate_hz,
        channels=span.channels,
        starts_in_speech=span.starts_in_speech,
        ends_in_speech=span.ends_in_speech,
    )
