"""Amplify soft sound by its own level, measured within a few seconds, so that no click or loud voice hides it."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from processor_service.audio.source import Mono

SAMPLE_RATE_HZ = 16_000
WINDOW = 512  # samples that have one level (32 ms)
FLOOR = 1e-4  # -80 dB: softer sound is not amplified
FULL_SCALE = 1.0
CLICK_WINDOWS = 7  # a sound shorter than half of them is a click, which has no part in the level
HIGH_PASS = 64  # samples: the mean over them is subtracted, twice, 46 dB at 50 Hz; an offset or hum is no level
BLOCK = 1024  # windows amplified at a time; bounds the memory to some MB
NEAR_S = 1.5  # for the voice of one speaker beside another
SOFT_SHARE = 0.03  # of the loudest sound in a window of the model, which hears a softer voice badly, …
LOUD_S = 15.0  # … searched on both sides. A voice that is soft everywhere is heard well and stays as it is.

Floats = npt.NDArray[np.float32]


def in_windows(mono: Mono) -> Floats:
    """A copy as (windows, 512); silence fills the last window."""
    windows = np.zeros((-(-len(mono) // WINDOW), WINDOW), np.float32)
    windows.reshape(-1)[: len(mono)] = mono
    return windows


def without_hum(windows: Floats) -> Floats:
    """The windows without their lowest frequencies."""
    from scipy.ndimage import uniform_filter1d  # takes most of a second to import

    flat = windows.reshape(-1)
    for _ in range(2):
        flat = flat - uniform_filter1d(flat, HIGH_PASS, mode="nearest")
    return np.asarray(flat, np.float32).reshape(windows.shape)


def peaks_of(windows: Floats) -> Floats:
    """The peak of each window, (windows,)."""
    highest: Floats = np.maximum(windows.max(axis=1, initial=0.0), -windows.min(axis=1, initial=0.0))
    return highest


def gains(peaks: Floats, counts: npt.NDArray[np.bool_], *, target: float | Floats, near_s: float) -> Floats:
    """The gain of each window, at least 1, that raises the loudest sound within `near_s` to the peak `target`.

    Only windows that count are sound. No gain raises a window above full scale.
    """
    from scipy.ndimage import median_filter  # as above

    loudest = _loudest(np.where(counts, median_filter(peaks, CLICK_WINDOWS, mode="nearest"), 0), near_s)
    wanted = np.where(loudest > FLOOR, target / np.maximum(loudest, FLOOR), 1.0)
    return np.asarray(np.clip(wanted, 1.0, _headroom(peaks)), np.float32)


def _loudest(peaks: Floats, near_s: float) -> Floats:
    from scipy.ndimage import maximum_filter1d  # as above

    return np.asarray(maximum_filter1d(peaks, 2 * round(near_s * SAMPLE_RATE_HZ / WINDOW) + 1, mode="constant"))


def _headroom(peaks: Floats) -> Floats:
    """The largest gain of each window, at least 1, that keeps it within full scale."""
    return np.asarray(np.maximum(FULL_SCALE / np.maximum(peaks, FLOOR), 1.0), np.float32)


def amplified(windows: Floats, clean: Floats, gain: Floats) -> Floats:
    """The windows, with the gain for `clean`, the part of them to amplify. It changes linearly between windows."""
    following = np.append(gain[1:], gain[-1:])
    ramp = np.linspace(0.0, 1.0, WINDOW, endpoint=False, dtype=np.float32)
    louder = np.flatnonzero((gain > 1) | (following > 1))
    out = windows.copy()
    for rows in np.split(louder, range(BLOCK, len(louder), BLOCK)):
        added = (gain[rows, None] - 1) + (following[rows] - gain[rows])[:, None] * ramp
        out[rows] = np.clip(windows[rows] + clean[rows] * added, -FULL_SCALE, FULL_SCALE)
    return out


def levelled(mono: Mono, speech: Sequence[tuple[float, float]]) -> Mono:
    """The audio with the soft ones of its speech regions amplified; the gain between regions is in between."""
    windows = in_windows(mono)
    counts = np.zeros(len(windows), np.bool_)
    for start_s, end_s in speech:
        counts[int(start_s * SAMPLE_RATE_HZ / WINDOW) : int(np.ceil(end_s * SAMPLE_RATE_HZ / WINDOW))] = True
    clean = without_hum(windows)
    peaks = peaks_of(clean)
    target = SOFT_SHARE * _loudest(peaks_of(windows), LOUD_S)  # an offset and hum are loud for the model
    gain = gains(peaks, counts, target=target, near_s=NEAR_S)
    if not counts.any() or gain[counts].max() <= 1:
        return mono
    at = np.arange(len(windows))
    between = np.interp(at, at[counts], gain[counts]).astype(np.float32)
    return amplified(windows, clean, np.minimum(between, _headroom(peaks))).reshape(-1)[: len(mono)]
