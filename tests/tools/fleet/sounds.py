"""Recordings that are longer than the bundled clip."""

import io

import numpy as np
import soundfile

from tests.tools.chaos.sounds import RATE_HZ, speech_wav


def repeated_wav(duration_s: float, *, clip_s: float = 10.0) -> bytes:
    """Return a WAV of the clip's first `clip_s` seconds, repeated to `duration_s`."""
    clip, _ = soundfile.read(io.BytesIO(speech_wav(clip_s)), dtype="int16")
    frames = round(duration_s * RATE_HZ)
    file = io.BytesIO()
    soundfile.write(file, np.tile(clip, -(-frames // len(clip)))[:frames], RATE_HZ, format="WAV", subtype="PCM_16")
    return file.getvalue()
