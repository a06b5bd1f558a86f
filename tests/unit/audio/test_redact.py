from pathlib import Path

import numpy as np
import pytest
import soundfile

from processor_service.audio.redact import FADE_S, TONE_LEVEL, redact_file, redacted_blocks, shifted
from processor_service.audio.source import Block

RATE_HZ = 8000


def _noise(seconds: float, channels: int = 2) -> Block:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * RATE_HZ), channels)).astype(np.float32)


@pytest.mark.parametrize("with_tone", [False, True])
@pytest.mark.parametrize("block_s", [0.05, 0.3, 10.0])
def test_spans_are_replaced_and_the_rest_is_unchanged(block_s: float, with_tone: bool) -> None:  # noqa: FBT001 - a parameter
    audio, spans = _noise(4), [(0.0, 0.5), (1.25, 2.5), (3.9, 4.5)]
    step = round(block_s * RATE_HZ)
    blocks = (audio[at : at + step] for at in range(0, len(audio), step))

    written = np.concatenate(list(redacted_blocks(blocks, spans, RATE_HZ, with_tone=with_tone)))

    assert written.shape == audio.shape
    seconds = np.arange(len(audio)) / RATE_HZ
    outside = np.all([(seconds < start_s) | (seconds >= end_s) for start_s, end_s in spans], axis=0)
    inside = np.any([(seconds > start_s + FADE_S) & (seconds < end_s - FADE_S) for start_s, end_s in spans], axis=0)
    assert np.array_equal(written[outside], audio[outside])
    level = np.sqrt(np.mean(np.square(written[inside])))
    assert level == pytest.approx(TONE_LEVEL / np.sqrt(2) if with_tone else 0, abs=1e-3)
    assert np.abs(np.corrcoef(written[inside, 0], audio[inside, 0])[0, 1]) < 0.05 if with_tone else level == 0


def test_a_file_keeps_its_length_rate_and_depth(tmp_path: Path) -> None:
    path, out_path = tmp_path / "in.flac", tmp_path / "out.flac"
    soundfile.write(path, _noise(3), RATE_HZ, "PCM_24")
    redact_file(path, out_path, [(1.0, 2.0)], with_tone=False)
    before, after = soundfile.info(path), soundfile.info(out_path)
    assert (after.frames, after.samplerate, after.channels, after.subtype) == (
        before.frames,
        before.samplerate,
        before.channels,
        before.subtype,
    )
    middle, _ = soundfile.read(out_path, start=RATE_HZ + 200, stop=2 * RATE_HZ - 200)
    assert not middle.any()


def test_the_denoised_file_of_a_part_has_a_clock_of_its_own() -> None:
    assert shifted([(1.0, 5.0), (58.0, 62.0), (70.5, 71.0)], -60.0) == ((0.0, 2.0), (10.5, 11.0))
    assert shifted([(1.0, 5.0)], 0.0) == ((1.0, 5.0),)
