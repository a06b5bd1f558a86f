"""The package `whisper`, unmodified."""

from pathlib import Path

import whisper

from processor_service.audio.load_mono import load_mono_16k
from tests.tools.benchmarks.contend import Run, Setup

# The defaults of `whisper --help` in version 20250625. Half precision is not possible on a CPU.
COMMAND_LINE = {
    "beam_size": 5,
    "best_of": 5,
    "temperature": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    "condition_on_previous_text": True,
    "word_timestamps": False,
}


def command_line(setup: Setup) -> Run:
    """`whisper FILE --model tiny.en` without reading the file."""
    return _run(setup, COMMAND_LINE)


def greedy(setup: Setup) -> Run:
    """`whisper.transcribe(model, audio)`."""
    return _run(setup, {})


def _run(setup: Setup, options: dict[str, object]) -> Run:
    model = whisper.load_model(setup.checkpoint, device="cpu")
    audio = load_mono_16k(Path(setup.flac))
    return lambda: str(whisper.transcribe(model, audio, fp16=False, **options)["text"])
