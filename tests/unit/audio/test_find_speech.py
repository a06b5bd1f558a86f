"""Voice activity detection finds speech; silence, noise and hum are not speech."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from processor_service.audio.decode import open_source
from processor_service.audio.find_speech import SAMPLE_RATE_HZ, SpeechSettings, has_speech, speech_regions
from processor_service.audio.flac import FlacWriter
from processor_service.audio.load_mono import load_mono_16k
from processor_service.audio.mix_channels import mix_channels
from processor_service.audio.source import Mono
from tests.support.audio.signals import CLIP, CORPUS, corpus, tone


def mono_16k(path: Path, tmp_path: Path) -> Mono:
    with open_source(path) as source:
        flac = tmp_path / "whole.flac"
        with FlacWriter(flac, source.sample_rate_hz, source.channels, source.bit_depth_hint) as writer:
            for block in source:
                writer.write(block)
    return load_mono_16k(flac)


@pytest.mark.parametrize("level", [1.0, 0.1, 0.001])
def test_silence_noise_and_hum_are_not_speech(level: float) -> None:
    rng = np.random.default_rng(0)
    noise = np.asarray(0.3 * rng.standard_normal(10 * SAMPLE_RATE_HZ), dtype=np.float32)
    hum = tone(10, SAMPLE_RATE_HZ, 50) + tone(10, SAMPLE_RATE_HZ, 150) / 3
    for sound in (np.zeros_like(hum), noise, hum):
        assert speech_regions(np.asarray(sound * level, dtype=np.float32)) == []


@pytest.mark.parametrize("samples", [0, 1, 511, 512, 513])
def test_very_short_audio_has_no_speech(samples: int) -> None:
    assert not has_speech(np.zeros(samples, np.float32))


def test_read_only_input_is_accepted_and_unchanged() -> None:
    sound = np.asarray(tone(1, SAMPLE_RATE_HZ) / 100, dtype=np.float32)
    before = sound.copy()
    sound.flags.writeable = False
    speech_regions(sound)
    assert np.array_equal(sound, before)


@pytest.mark.parametrize("gain", [1.0, 0.01, 0.001])
def test_speech_is_found_at_any_level(tmp_path: Path, gain: float) -> None:
    sound = np.asarray(mono_16k(CLIP, tmp_path) * gain, dtype=np.float32)
    regions = speech_regions(sound)
    assert sum(end - start for start, end in regions) > 6
    assert all(0 <= start < end <= len(sound) / SAMPLE_RATE_HZ for start, end in regions)
    assert all(one[1] < other[0] for one, other in pairwise(regions))


def test_the_same_audio_gives_the_same_regions(tmp_path: Path) -> None:
    sound = mono_16k(CLIP, tmp_path)
    assert speech_regions(sound) == speech_regions(sound)


def test_padding_widens_regions(tmp_path: Path) -> None:
    sound = mono_16k(CLIP, tmp_path)
    bare, padded = (speech_regions(sound, SpeechSettings(pad_s=pad_s)) for pad_s in (0.0, 0.2))
    assert sum(e - s for s, e in padded) > sum(e - s for s, e in bare)


@pytest.mark.parametrize("layout", ["antiphase", "left only", "mono"])
def test_no_channel_layout_loses_audio(tmp_path: Path, layout: str) -> None:
    sound = tone(1.0, SAMPLE_RATE_HZ)
    channels = {
        "antiphase": np.stack([sound, -sound], axis=1),
        "left only": np.stack([sound, 0 * sound], axis=1),
        "mono": sound[:, np.newaxis],
    }[layout]
    soundfile.write(tmp_path / "a.flac", channels, SAMPLE_RATE_HZ)
    for mono in (load_mono_16k(tmp_path / "a.flac"), mix_channels(channels)):
        assert np.abs(mono).max() == pytest.approx(0.4, abs=0.02)


def test_two_speakers_on_two_channels_are_both_kept() -> None:
    loud, soft = tone(1.0, 16_000, 440), tone(1.0, 16_000, 700) * np.float32(0.3)
    spectrum = np.abs(np.fft.rfft(mix_channels(np.stack([loud, soft], axis=1))))
    assert spectrum[700] > 0.2 * spectrum[440]


def test_a_span_is_resampled_to_its_length(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", tone(10.0, 44_100), 44_100)
    assert len(load_mono_16k(tmp_path / "a.flac", 44_100, 5 * 44_100)) == pytest.approx(4 * 16_000, abs=2)


@pytest.mark.parametrize("entry", corpus("clean_speech", "noisy_speech", "format_variant"))
def test_speech_of_the_corpus_is_found(tmp_path: Path, entry: dict[str, Any]) -> None:
    assert has_speech(mono_16k(CORPUS / entry["file"], tmp_path))
