"""Headrace's engines without the services: voice activity detection, windows, engine, word times."""

from pathlib import Path

import soundfile

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import ChunkProcessed, ProcessChunk
from processor_service.compute.requests import Engine, process_chunk, warm_up_audio
from processor_service.transcribers.engines import load_transcriber
from shared.schemas.options import JobOptions
from tests.tools.benchmarks.contend import Run, Setup


def openai_whisper(setup: Setup) -> Run:
    return _run(setup, "openai-whisper")


def faster_whisper(setup: Setup) -> Run:
    return _run(setup, "faster-whisper")


def _run(setup: Setup, name: str) -> Run:
    """Do what a compute child does at start, then with a chunk that is the whole recording."""
    model = Path(setup.checkpoint if name == "openai-whisper" else setup.ctranslate2_folder)
    engine = Engine(name, load_transcriber)
    engine.transcriber(model).warm_up()
    warm_up_audio()
    request = ProcessChunk(
        chunk=_whole(setup),
        options=JobOptions(denoise=False),
        model_path=str(model),
        threads=setup.threads,
        denoised_path=None,
    )

    def run() -> str:
        reply = process_chunk(engine, request, lambda _: None)
        assert isinstance(reply, ChunkProcessed)
        return reply.transcript.text

    return run


def _whole(setup: Setup) -> ChunkFile:
    info = soundfile.info(setup.flac)
    return ChunkFile(
        path=setup.flac,
        ordinal=0,
        file_start_frame=0,
        core_start_frame=0,
        core_end_frame=info.frames,
        sample_rate_hz=info.samplerate,
        channels=info.channels,
    )
