"""Noisy speech with its clean speech, from a corpus or mixed from the bundled clips."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from processor_service.audio.source import Mono
from tests.support.clips import CLIPS, Clip

RATE_HZ = 16_000
SNRS_DB = (0, 10)
NOISES = ("pink", "babble", "hum")
SPEECH_DB = -40.0  # below the peak; quieter frames are pauses
FRAME = 400  # samples per measured level


class Mixture(NamedTuple):
    """A mixture. `noisy` and `clean` are (samples,) at 16 kHz, of equal length."""

    noise: str
    snr_db: float
    noisy: Mono
    clean: Mono
    text: str


def made_of_clips(clips: tuple[Clip, ...] = CLIPS) -> Iterator[Mixture]:
    """Each clip in pink noise, in babble of the other clips, and in mains hum, at each signal-to-noise ratio."""
    for clip, noise, snr_db in product(clips, NOISES, SNRS_DB):
        clean = load_clip(clip.path)
        noisy = mixed(clean, _noise(noise, clip, len(clean)), snr_db)
        peak = max(1.0, float(np.abs(noisy).max()))
        yield Mixture(noise, snr_db, noisy / np.float32(peak), clean, clip.text)


def of_corpus(folder: Path) -> Iterator[Mixture]:
    """The noisy mixtures of a corpus with a manifest.json."""
    for entry in json.loads((folder / "manifest.json").read_text()):
        if entry["category"] == "noisy_speech" and entry.get("usable_for_wer"):
            noisy, clean = (
                load_clip(folder / entry["file"]),
                load_clip(folder / entry["clean_pair"].removeprefix("files/")),
            )
            length = min(len(noisy), len(clean))
            noise = Path(entry["file"]).name.split("__")[1]
            yield Mixture(noise, entry["snr_db"], noisy[:length], clean[:length], entry["transcript"])


def load_clip(path: Path) -> Mono:
    """A file as 16 kHz mono, the mean of its channels."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ), dtype=np.float32)


def mixed(clean: Mono, noise: Mono, snr_db: float) -> Mono:
    """Speech with noise, at a signal-to-noise ratio that ignores pauses in the speech."""
    gain = np.sqrt(_speech_power(clean) / np.mean(np.square(noise)) / 10 ** (snr_db / 10))
    return np.asarray(clean + gain * noise, dtype=np.float32)


def pink_noise(length: int, seed: int = 0) -> Mono:
    """Noise of equal power per octave, (samples,), of total power 1."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(length))
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1), n=length)
    return np.asarray(pink / np.sqrt(np.mean(np.square(pink))), dtype=np.float32)


def _noise(name: str, clip: Clip, length: int) -> Mono:
    if name == "pink":
        return pink_noise(length)
    if name == "hum":
        times = np.arange(length) / RATE_HZ
        return np.asarray(sum(np.sin(2 * np.pi * 50 * part * times) / part for part in range(1, 10)), dtype=np.float32)
    voices = [load_clip(other.path) for other in CLIPS if other is not clip]
    # Every voice forwards and backwards: eight unintelligible speakers.
    return np.asarray(
        sum(np.resize(voice, length) + np.resize(voice[::-1], length) for voice in voices), dtype=np.float32
    )


def _speech_power(clean: Mono) -> float:
    frames = clean[: len(clean) // FRAME * FRAME].reshape(-1, FRAME)
    powers = np.mean(np.square(frames, dtype=np.float64), axis=1)
    return float(powers[powers > powers.max() * 10 ** (SPEECH_DB / 10)].mean())
