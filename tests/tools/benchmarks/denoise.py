"""`python -m tests.tools.benchmarks.denoise`: the effect of each denoiser on noisy speech and its transcript.

Each mixture is denoised and transcribed from the denoised audio, as in a compute child. Prints a table and, last, one
JSON object.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import soundfile

from processor_service.audio.denoise import denoise_chunk
from processor_service.audio.join import FADE_S
from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import ChunkProcessed, ProcessChunk
from processor_service.compute.requests import Engine, process_chunk, warm_up_audio
from processor_service.denoisers import DenoiserSettings, load_denoiser, why_not
from processor_service.transcribers.engines import load_transcriber
from shared.schemas.options import JobOptions
from tests.support.models import MODEL, model_for
from tests.tools.benchmarks.mixtures import RATE_HZ, Mixture, made_of_clips, of_corpus, pink_noise
from tests.tools.benchmarks.si_sdr import si_sdr_db
from tests.tools.benchmarks.word_errors import word_error_rate

DENOISERS: dict[str, DenoiserSettings | None] = {
    "none": None,
    "noisereduce": DenoiserSettings(),
    "noisereduce, strength 0.8": DenoiserSettings(strength=0.8),
    "noisereduce, stationary": DenoiserSettings(is_stationary=True),
    "noisereduce, stationary, strength 0.8": DenoiserSettings(is_stationary=True, strength=0.8),
    "deepfilternet": DenoiserSettings(name="deepfilternet"),
    "deepfilternet, strength 0.8": DenoiserSettings(name="deepfilternet", strength=0.8),
}
SPEED_S, SPEED_RATE_HZ = 60.0, 44_100


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one denoiser over some mixtures: means in dB, and the word error rate."""

    mixtures: int
    si_sdr_db: float
    gain_db: float
    word_error_rate: float


def main() -> int:
    arguments = _arguments()
    mixtures = list(of_corpus(arguments.corpus) if arguments.corpus else made_of_clips())
    chosen = {
        name: one for name, one in DENOISERS.items() if arguments.only in name and (not one or not why_not(one.name))
    }
    engine = Engine("openai-whisper", load_transcriber)
    model = model_for("openai-whisper")
    engine.transcriber(model).warm_up()
    warm_up_audio()
    with tempfile.TemporaryDirectory(prefix="headrace-benchmark-") as folder:
        rows = {name: _rows(mixtures, settings, engine, model, Path(folder)) for name, settings in chosen.items()}
        speeds = {name: _speed(settings, Path(folder)) for name, settings in chosen.items() if settings}
    print(_table(rows, speeds))
    report = {"model": MODEL, "denoisers": msgspec.to_builtins(rows), "times_real_time_of_a_core_44100_hz": speeds}
    print(json.dumps(report))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.benchmarks.denoise", description=__doc__)
    parser.add_argument(
        "--corpus", type=_path, help="a folder with manifest.json; default: mixtures of the bundled clips"
    )
    parser.add_argument("--only", default="", help="run the denoisers whose names contain this; default: all")
    return parser.parse_args()


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _rows(
    mixtures: Sequence[Mixture], settings: DenoiserSettings | None, engine: Engine, model: Path, folder: Path
) -> dict[str, Figures]:
    """The figures of one denoiser, for all mixtures and by noise."""
    done = [(mixture, *_done(mixture, settings, engine, model, folder)) for mixture in mixtures]
    groups = {"all": done}
    for one in done:
        groups.setdefault(f"{one[0].noise} {one[0].snr_db:.0f} dB", []).append(one)
    return {name: _figures(group) for name, group in groups.items()}


def _figures(done: Sequence[tuple[Mixture, float, str]]) -> Figures:
    gains = [after_db - si_sdr_db(mixture.noisy, mixture.clean) for mixture, after_db, _ in done]
    # One rate over all words, not a mean of rates.
    reference, text = " ".join(one[0].text for one in done), " ".join(one[2] for one in done)
    return Figures(
        mixtures=len(done),
        si_sdr_db=round(float(np.mean([after_db for _, after_db, _ in done])), 2),
        gain_db=round(float(np.mean(gains)), 2),
        word_error_rate=word_error_rate(reference, text) or 0.0,
    )


def _done(
    mixture: Mixture, settings: DenoiserSettings | None, engine: Engine, model: Path, folder: Path
) -> tuple[float, str]:
    """The SI-SDR and the text of one mixture."""
    path, denoised = folder / "noisy.flac", folder / "denoised.flac"
    soundfile.write(path, mixture.noisy, RATE_HZ, subtype="PCM_24")
    request = ProcessChunk(
        chunk=_whole(path),
        options=JobOptions(denoise=bool(settings), transcribe_from="denoised" if settings else "original"),
        model_path=str(model),
        threads=1,
        denoised_path=str(denoised) if settings else None,
        denoiser=settings or DenoiserSettings(),
    )
    reply = process_chunk(engine, request, lambda _: None)
    assert isinstance(reply, ChunkProcessed)
    result, _ = soundfile.read(denoised if settings else path, dtype="float32")
    return si_sdr_db(result, mixture.clean), reply.transcript.text


def _speed(settings: DenoiserSettings, folder: Path) -> float:
    """Seconds of audio per second of CPU time, for 44.1 kHz stereo, including reading and writing."""
    channels = [pink_noise(round(SPEED_S * SPEED_RATE_HZ), seed) for seed in (0, 1)]
    soundfile.write(folder / "long.flac", 0.1 * np.stack(channels, axis=1), SPEED_RATE_HZ)
    denoiser = load_denoiser(settings)
    began_s = time.process_time()
    denoise_chunk(_whole(folder / "long.flac"), folder / "long.denoised.flac", denoiser, fade_s=FADE_S)
    return round(SPEED_S / (time.process_time() - began_s), 1)


def _whole(path: Path) -> ChunkFile:
    info = soundfile.info(path)
    return ChunkFile(
        path=str(path),
        ordinal=0,
        file_start_frame=0,
        core_start_frame=0,
        core_end_frame=info.frames,
        sample_rate_hz=info.samplerate,
        channels=info.channels,
    )


def _table(rows: dict[str, dict[str, Figures]], speeds: dict[str, float]) -> str:
    lines = [f"{'denoiser':38}{'mixtures':24}{'SI-SDR dB':>10}{'gain dB':>9}{'WER %':>8}{'x real time':>12}"]
    for name, groups in rows.items():
        lines += list(_lines(name, groups, speeds.get(name)))
    return "\n".join(lines)


def _lines(name: str, groups: dict[str, Figures], speed: float | None) -> Iterable[str]:
    for group, found in groups.items():
        figures = f"{found.si_sdr_db:10.1f}{found.gain_db:9.1f}{100 * found.word_error_rate:8.1f}"
        yield f"{name:38}{group:24}{figures}{speed if speed and group == 'all' else '':>12}"


if __name__ == "__main__":
    sys.exit(main())
