"""`python -m tests.tools.benchmarks.transcribe_stages RECORDING`: the CPU time of each stage with openai-whisper.

Does with a recording, in one process and one thread, what a compute child does: decode it as one chunk, transcribe and
denoise it. Storing is not included. Prints seconds by stage as one line of JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from processor_service.compute import load_sounds, requests, transcribe_sound
from processor_service.compute.messages import ChunkWritten, ProcessChunk, SplitSource
from processor_service.transcribers import openai_whisper, transcribe_windows, window_decoder
from processor_service.transcribers.engines import load_transcriber
from shared.schemas.options import JobOptions
from tests.support.models import model_for
from tests.tools.benchmarks.samples import A_DAY_S

# The function of each stage, in the namespace of its caller. None of them calls another.
STAGES: tuple[tuple[str, Any, str], ...] = (
    ("decode", requests, "split"),
    ("VAD", load_sounds, "speech_regions"),
    ("level", transcribe_sound, "levelled"),
    ("mel", transcribe_windows, "_spectrograms"),
    ("encoder", openai_whisper.OpenAIWhisper, "encode"),
    ("decoder", window_decoder.WindowDecoder, "decode"),
    ("alignment", openai_whisper.OpenAIWhisper, "align"),
    ("denoise", requests, "denoise_chunk"),
)


def main() -> None:
    torch.set_num_threads(1)
    model = model_for("openai-whisper")
    engine = requests.Engine("openai-whisper", load_transcriber)
    engine.transcriber(model).warm_up()
    requests.warm_up_audio()
    spent_s: dict[str, float] = {}
    for stage, owner, name in STAGES:
        setattr(owner, name, _timed(getattr(owner, name), stage, spent_s))
    began_s = time.process_time()
    with TemporaryDirectory(prefix="headrace-benchmark-") as folder:
        _process(engine, model, Path(sys.argv[1]), Path(folder))
    spent_s["other"] = time.process_time() - began_s - sum(spent_s.values())
    print(json.dumps({stage: round(seconds, 2) for stage, seconds in spent_s.items()}))


def _process(engine: requests.Engine, model: Path, audio: Path, folder: Path) -> None:
    written: list[ChunkWritten] = []
    source = SplitSource(
        source_path=str(audio), out_dir=str(folder), threshold_s=A_DAY_S, chunk_s=A_DAY_S, max_audio_s=A_DAY_S
    )
    requests.split(source, lambda reply: written.extend([reply] if isinstance(reply, ChunkWritten) else []), _ignore)
    request = ProcessChunk(
        chunk=written[0].chunk,
        options=JobOptions(),
        model_path=str(model),
        threads=1,
        denoised_path=str(folder / "denoised.flac"),
    )
    requests.process_chunk(engine, request, _ignore)


def _ignore(_fraction: float) -> None:
    """Progress is not shown."""


def _timed(function: Callable[..., Any], stage: str, spent_s: dict[str, float]) -> Callable[..., Any]:
    """The function, which adds its CPU time to a stage."""

    @wraps(function)
    def timed(*arguments: Any, **named: Any) -> Any:
        began_s = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            spent_s[stage] = spent_s.get(stage, 0.0) + time.process_time() - began_s

    return timed


if __name__ == "__main__":
    main()
