"""The expected transcript of a recording, made in one process without servers, leases or faults."""

from pathlib import Path

import msgspec

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import ChunkProcessed, ChunkWritten, ProcessChunk, Reply, SplitSource
from processor_service.compute.requests import Engine, process_chunk, split
from processor_service.stages.final_transcript import final_transcript
from processor_service.transcribers.engines import load_transcriber
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript

CALLS = "calls.jsonl"  # one line a call of the scripted transcriber, in its model folder
OPTIONS = JobOptions(denoise=False)


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """A recording, its text, the number of its chunk tasks, and the number of transcriber calls."""

    wav: bytes
    text: str
    chunks: int
    calls: int


def golden(wav: bytes, folder: Path, *, threshold_s: float, chunk_s: float) -> Golden:
    """Split and transcribe a recording in a new folder, as a child process of a worker does."""
    folder.mkdir()
    source = folder / "source"
    source.write_bytes(wav)
    chunks = _split(source, folder, threshold_s, chunk_s)
    engine = Engine("scripted", load_transcriber)
    merged = final_transcript([_transcribe(engine, chunk, folder) for chunk in chunks], OPTIONS, duration_s=0.0)
    tasks = len(chunks) if len(chunks) > 1 else 0
    return Golden(wav=wav, text=merged.text, chunks=tasks, calls=count_calls(folder))


def count_calls(model: Path) -> int:
    """Return the number of calls of all transcribers loaded from a folder."""
    calls = model / CALLS
    return calls.read_bytes().count(b"\n") if calls.exists() else 0


def _split(source: Path, folder: Path, threshold_s: float, chunk_s: float) -> list[ChunkFile]:
    chunks: list[ChunkFile] = []

    def on_reply(reply: Reply) -> None:
        if isinstance(reply, ChunkWritten):
            chunks.append(reply.chunk)

    request = SplitSource(
        source_path=str(source), out_dir=str(folder), threshold_s=threshold_s, chunk_s=chunk_s, max_audio_s=3600.0
    )
    split(request, on_reply, lambda _: None)
    return chunks


def _transcribe(engine: Engine, chunk: ChunkFile, model: Path) -> Transcript:
    request = ProcessChunk(chunk=chunk, options=OPTIONS, model_path=str(model), threads=1, denoised_path=None)
    reply = process_chunk(engine, request, lambda _: None)
    assert isinstance(reply, ChunkProcessed)
    return reply.transcript
