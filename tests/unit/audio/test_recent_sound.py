"""A sound is recognised if it comes again, and no other is."""

import av
import numpy as np
import pytest
import soundfile

from processor_service.audio.recent_sound import KEPT_S, RecentSound, similarity
from tests.support.audio.signals import CLIP, Signal

SPEECH, RATE_HZ = soundfile.read(CLIP, dtype="float32")
FRAME = 1024


def frames(signal: Signal, kind: str = "fltp") -> list[av.AudioFrame]:
    result = []
    for start in range(0, len(signal) - FRAME + 1, FRAME):
        values = signal[np.newaxis, start : start + FRAME]
        if kind != "fltp":
            values = (values * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values), kind, "mono")
        frame.sample_rate = RATE_HZ
        result.append(frame)
    return result


def recent(signal: Signal, kind: str = "fltp") -> RecentSound:
    sound = RecentSound()
    for number, frame in enumerate(frames(signal, kind)):
        sound.add(number * FRAME / RATE_HZ, frame)
    return sound


@pytest.mark.parametrize("kind", ["fltp", "s16", "s16p"])
@pytest.mark.parametrize("wrong_s", [-0.05, 0.0, 0.05])
def test_the_same_sound_repeats(kind: str, wrong_s: float) -> None:
    start = 6 * RATE_HZ
    again = SPEECH[start : start + RATE_HZ] + 0.01 * np.random.default_rng(1).standard_normal(RATE_HZ)
    assert recent(SPEECH, kind).repeats(frames(again.astype(np.float32), kind), 6.0 + wrong_s)


@pytest.mark.parametrize("position_s", [1.0, 4.0, 8.0, 12.0])
def test_other_sounds_and_silence_repeat_nothing(position_s: float) -> None:
    sound = recent(SPEECH)
    assert not sound.repeats(frames(SPEECH[6 * RATE_HZ : 7 * RATE_HZ]), position_s)
    assert not sound.repeats(frames(np.zeros(RATE_HZ, np.float32)), position_s)


def test_what_is_long_ago_is_forgotten() -> None:
    sound = recent(np.tile(SPEECH, 4))
    assert KEPT_S < 44
    assert not sound.repeats(frames(SPEECH[6 * RATE_HZ : 7 * RATE_HZ]), 6.0)
    assert sound.repeats(frames(SPEECH[6 * RATE_HZ : 7 * RATE_HZ]), 28.0)


def test_similarity_of_too_little_is_0() -> None:
    nothing = np.zeros(0, np.float32)
    assert similarity(nothing, np.ones(10, np.float32)) == similarity(np.ones(10, np.float32), nothing) == 0
