"""Makes a long file of the clips: `python -m tests.support.acceptance.long_audio MINUTES OUT.flac`.

The clips are real speech of several readers, in turn, with pauses of 0.3 to 1 s between them.
"""

import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr

from tests.support.clips import CLIPS

RATE_HZ = 16_000


def write_long_audio(path: Path, *, duration_s: float) -> list[str]:
    """Write at least `duration_s` of audio, in whole clips; return the spoken texts in order."""
    random = np.random.default_rng(7)
    texts: list[str] = []
    frames = 0
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, format="FLAC", subtype="PCM_16") as out:
        while frames < duration_s * RATE_HZ:
            clip = CLIPS[len(texts) % len(CLIPS)]
            texts.append(clip.text)
            for piece in (_speech(clip.path), np.zeros(int(random.uniform(0.3, 1.0) * RATE_HZ))):
                out.write(piece)
                frames += len(piece)
    return texts


def _speech(path: Path) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    samples, rate_hz = soundfile.read(path, dtype="float32")
    resampled: np.ndarray[tuple[int], np.dtype[np.float32]] = soxr.resample(samples, rate_hz, RATE_HZ)
    return resampled


if __name__ == "__main__":
    write_long_audio(Path(sys.argv[2]), duration_s=float(sys.argv[1]) * 60)
