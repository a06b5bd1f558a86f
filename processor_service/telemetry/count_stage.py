"""Counts how fast a stage went: the seconds of audio that it worked through in a second."""

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import (
    ChunkProcessed,
    DenoiseChunk,
    FindVoices,
    Prepared,
    ProcessChunk,
    Reply,
    Request,
)
from processor_service.telemetry.metrics import BUILTIN, REMOTE, STAGE_AUDIO, STAGE_BUSY, STAGE_SPEED


def count_answer(request: Request, reply: Reply, took_s: float) -> None:
    """A compute child answered. What it transcribes and denoises at one request it timed itself."""
    match request, reply:
        case _, Prepared(audio=audio):
            count_stage("decode", BUILTIN, audio.duration_s, took_s)
        case ProcessChunk(chunk=chunk, denoiser=denoiser), ChunkProcessed():
            if not request.heard:
                count_stage("transcribe", reply.transcript.engine, duration_of(chunk), reply.transcribed_in_s)
            count_stage("denoise", denoiser.name, duration_of(chunk), reply.denoised_in_s)
        case DenoiseChunk(what=what), _:
            count_stage("denoise", what.denoiser.name, duration_of(what.chunk), took_s)
        case FindVoices(chunk=chunk), _:
            count_stage("find_voices", BUILTIN, duration_of(chunk), took_s)


def count_heard_remotely(chunk: ChunkFile, took_s: float) -> None:
    """A remote engine transcribed a chunk, whichever it was and whoever failed before it."""
    count_stage("transcribe", REMOTE, duration_of(chunk), took_s)


def count_stage(stage: str, engine: str, audio_s: float, took_s: float) -> None:
    """A stage that took no time was not done."""
    if took_s <= 0 or (stage, engine) not in STAGE_SPEED:
        return
    STAGE_SPEED[stage, engine].observe(audio_s / took_s)
    STAGE_AUDIO[stage, engine].inc(audio_s)
    STAGE_BUSY[stage, engine].inc(took_s)


def duration_of(chunk: ChunkFile) -> float:
    """Seconds of the core, which is what a chunk adds to its file."""
    return (chunk.core_end_frame - chunk.core_start_frame) / chunk.sample_rate_hz
