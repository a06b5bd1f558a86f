"""Transcribes files as a processor does: one chunk, with the times of words."""

from pathlib import Path

import soundfile

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import ChunkProcessed, ProcessChunk
from processor_service.compute.requests import Engine, process_chunk
from processor_service.stages.final_transcript import final_transcript
from processor_service.transcribers.engines import load_transcriber
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript
from tests.support.models import model_for

THREADS = 2


class Recognizer:
    """A model of openai-whisper, loaded once."""

    def __init__(self, model: str) -> None:
        self._path = model_for("openai-whisper", model)
        self._engine = Engine("openai-whisper", load_transcriber)

    def transcript(self, path: Path, options: JobOptions) -> Transcript:
        """Return the transcript of a file that libsndfile reads."""
        about = soundfile.info(path)
        chunk = ChunkFile(
            path=str(path), ordinal=0, file_start_frame=0, core_start_frame=0, core_end_frame=about.frames,
            sample_rate_hz=about.samplerate, channels=about.channels,
        )  # fmt: skip
        request = ProcessChunk(
            chunk=chunk, options=options, model_path=str(self._path), threads=THREADS, denoised_path=None
        )
        reply = process_chunk(self._engine, request, lambda _: None)
        if not isinstance(reply, ChunkProcessed):
            raise TypeError(type(reply))
        return final_transcript([reply.transcript], options, duration_s=about.duration)
