"""`python -m tests.tools.benchmarks.diarization FOLDER NAME …`: error rate, speakers and speed on files with RTTM.

Without names, all files of the folder that have one. `--chunk-s` cuts the audio into chunks, as for a long file.
"""

import argparse
import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from processor_service.audio.decode import open_source
from processor_service.audio.load_mono import load_mono_16k
from processor_service.audio.write_chunks import write_chunks
from processor_service.diarization.nets import SpeakerNets, load_nets
from processor_service.diarization.segmentation_net import SAMPLE_RATE_HZ
from processor_service.diarization.speaker_turns import speaker_turns
from processor_service.diarization.voice_embeddings import find_voices
from processor_service.diarization.voices import Voices
from tests.support.models import speaker_weights
from tests.tools.benchmarks.diarization_error import diarization_error, read_rttm

MAX_S = 1e6


def main() -> None:
    """Print a line for each file and, last, all figures as one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.benchmarks.diarization", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="stems of files; default: all with an RTTM file")
    parser.add_argument("--chunk-s", type=float, default=MAX_S)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    weights = speaker_weights()
    if weights is None:
        parser.error("the nets for diarization are not available")
    nets = load_nets(weights)
    figures = {path.stem: _measure(nets, path, arguments.chunk_s) for path in _files(arguments.folder, arguments.names)}
    print(json.dumps({"files": figures, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}))


def _files(folder: Path, names: list[str]) -> Iterator[Path]:
    for rttm in sorted(folder.rglob("*.rttm")):
        if not names or rttm.stem in names:
            yield next(path for path in sorted(rttm.parent.glob(f"{rttm.stem}.*")) if path.suffix != ".rttm")


def _measure(nets: SpeakerNets, path: Path, chunk_s: float) -> dict[str, Any]:
    audio = _load(path)
    before = time.process_time()
    turns = speaker_turns(list(_voices(nets, audio, chunk_s)))
    cpu_s = time.process_time() - before
    reference = read_rttm(path.with_suffix(".rttm"))
    error = diarization_error(reference, turns)
    figures: dict[str, Any] = {"der": round(error.rate, 3)} | {
        name: round(value, 3) for name, value in error._asdict().items()
    }
    figures["speakers"] = len({turn.speaker for turn in turns})
    figures["speakers_expected"] = len({turn.speaker for turn in reference})
    figures["speed"] = round(len(audio) / SAMPLE_RATE_HZ / cpu_s, 1)  # seconds of audio per second of CPU time
    print(f"{path.stem:24}", *(f"{name} {value}" for name, value in figures.items()), flush=True)
    return figures


def _voices(nets: SpeakerNets, audio: np.ndarray[Any, np.dtype[np.float32]], chunk_s: float) -> Iterator[Voices]:
    step = round(chunk_s * SAMPLE_RATE_HZ)
    for start in range(0, len(audio), step):
        yield find_voices(nets, audio[start : start + step], offset_s=start / SAMPLE_RATE_HZ)


def _load(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The audio as in a compute child: decoded to a chunk file first."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder, open_source(path, max_audio_s=MAX_S) as source:
        chunks: list[Any] = []
        write_chunks(
            source,
            Path(folder),
            threshold_s=MAX_S,
            chunk_s=MAX_S,
            on_chunk=chunks.append,
            on_progress=lambda _: None,
        )
        return load_mono_16k(Path(chunks[0].path))


if __name__ == "__main__":
    main()
