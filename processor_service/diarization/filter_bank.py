"""Log-mel filter-bank features as in Kaldi's `compute-fbank-feats` without dither, on which CAM++ was trained.

Povey et al., "The Kaldi Speech Recognition Toolkit", 2011. The window is Povey's, a Hann window to the power of 0.85.
"""

import functools

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 16_000
FRAME_SAMPLES = 400  # 25 ms
STEP_SAMPLES = 160  # 10 ms
FFT_SIZE = 512
MEL_BANDS = 80
LOWEST_HZ = 20.0
PRE_EMPHASIS = 0.97
FRAMES_AT_ONCE = 2000  # bounds memory

Features = npt.NDArray[np.float32]


def filter_bank(samples: npt.NDArray[np.float32]) -> Features:
    """(samples,) at 16 kHz to (frames, 80). A frame begins every 10 ms; incomplete frames are dropped."""
    if len(samples) < FRAME_SAMPLES:
        return np.zeros((0, MEL_BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::STEP_SAMPLES]
    starts = range(0, len(frames), FRAMES_AT_ONCE)
    return np.concatenate([_log_mel(frames[start : start + FRAMES_AT_ONCE]) for start in starts])


def _log_mel(frames: npt.NDArray[np.float32]) -> Features:
    centred = frames - frames.mean(axis=1, keepdims=True)
    before = np.concatenate([centred[:, :1], centred[:, :-1]], axis=1)
    spectrum = np.fft.rfft((centred - PRE_EMPHASIS * before) * _window(), FFT_SIZE, axis=1)
    power = np.square(np.abs(spectrum[:, : FFT_SIZE // 2])).astype(np.float32)
    energies: Features = np.log(np.maximum(power @ _mel_weights(), np.finfo(np.float32).eps))
    return energies


@functools.cache
def _window() -> npt.NDArray[np.float32]:
    return np.power(np.hanning(FRAME_SAMPLES), 0.85).astype(np.float32)


@functools.cache
def _mel_weights() -> npt.NDArray[np.float32]:
    """Triangles of equal width on the mel scale, (FFT bins, bands)."""
    edges = np.linspace(_mel(LOWEST_HZ), _mel(SAMPLE_RATE_HZ / 2), MEL_BANDS + 2)
    bins = _mel(np.arange(FFT_SIZE // 2) * SAMPLE_RATE_HZ / FFT_SIZE)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _mel(hertz: float | npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    return np.asarray(1127.0 * np.log(1.0 + np.asarray(hertz) / 700.0))
