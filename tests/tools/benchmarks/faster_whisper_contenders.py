"""The package faster-whisper, unmodified, with int8 on the CPU: sequential and in batches."""

from pathlib import Path
from typing import Any

from faster_whisper import BatchedInferencePipeline, WhisperModel

from processor_service.audio.load_mono import load_mono_16k
from tests.tools.benchmarks.contend import Run, Setup

BATCH = 8


def sequential(setup: Setup) -> Run:
    return _run(setup, _model(setup))


def sequential_greedy(setup: Setup) -> Run:
    return _run(setup, _model(setup), beam_size=1)


def batched(setup: Setup) -> Run:
    return _run(setup, BatchedInferencePipeline(_model(setup)), batch_size=BATCH)


def batched_greedy(setup: Setup) -> Run:
    return _run(setup, BatchedInferencePipeline(_model(setup)), batch_size=BATCH, beam_size=1)


def _model(setup: Setup) -> Any:
    return WhisperModel(setup.ctranslate2_folder, device="cpu", compute_type="int8", cpu_threads=setup.threads)


def _run(setup: Setup, model: Any, **options: int) -> Run:
    audio = load_mono_16k(Path(setup.flac))

    def run() -> str:
        segments, _ = model.transcribe(audio, **options)  # a generator, which transcribes while it is read
        return " ".join(segment.text.strip() for segment in segments)

    return run
