"""noisereduce: a spectral gate, which closes each frequency band while its level is near that of the background.

The library supplies sizes and thresholds. The arithmetic is done here in 32 bits, several times as fast and equal
except for rounding. Spectra are (frames, bins). All steps after the spectra work on tiles that fit the CPU cache.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import torch
from noisereduce import reduce_noise
from noisereduce.spectralgate import SpectralGateNonStationary, SpectralGateStationary
from torch import Tensor

from processor_service.audio.source import Mono
from processor_service.denoisers.denoiser import Cleaner, DenoiserSettings

HOPS = 4  # per window: noisereduce overlaps windows by three quarters
WINDOW_POWER = 1.5  # the sum of squares of the overlapping quarters of a Hann window
TILE = 256  # frames; half a megabyte
STEPS = 64  # frames of the recursive noise floor in one matrix product
# noisereduce pads two windows of silence on both sides; scipy adds half a window.
PADDING_HOPS = 5 * HOPS // 2

Mask = Callable[[Tensor, int, int], Tensor]  # from the levels of all frames, the mask of frames start to end
MakeMask = Callable[[Tensor], Mask]  # from the levels of all frames


class GateShape(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of a gate: of its window, and of the triangles that smooth its mask, on each side of their centre."""

    n_fft: int
    smoothed_bins: int
    smoothed_frames: int
    strength: float

    @property
    def hop(self) -> int:
        return self.n_fft // HOPS


def gated(samples: Tensor, start: int, end: int, shape: GateShape, make_mask: MakeMask) -> Tensor:
    """The samples from start to end, with each frame's spectrum multiplied by its smoothed mask."""
    window = torch.hann_window(shape.n_fft)
    spectra = _spectra(samples, window, shape.hop)
    levels = spectra.abs()
    mask = make_mask(levels)
    first, last = start // shape.hop + PADDING_HOPS - (HOPS - 1), (end - 1) // shape.hop + PADDING_HOPS + 1
    pieces = torch.zeros(last - first + HOPS - 1, shape.hop)
    for tile in range(first, last, TILE):
        tile_end = min(tile + TILE, last)
        gains = _smoothed_mask(mask, levels, tile, tile_end, shape)
        frames = torch.fft.irfft(spectra[tile:tile_end] * gains, n=shape.n_fft).mul_(window / WINDOW_POWER)
        for part, quarter in enumerate(frames.split(shape.hop, dim=1)):
            pieces[tile - first + part : tile_end - first + part] += quarter
    lead = start - (first - PADDING_HOPS) * shape.hop
    return pieces.reshape(-1)[lead : lead + end - start]


def floating_mask(*, decay: float, threshold: float, slope: float) -> MakeMask:
    """A mask that opens while a level is `threshold` times above its mean (noisereduce, not stationary)."""

    def make(levels: Tensor) -> Mask:
        floor = mean_over_time(levels, decay).clamp_min_(torch.finfo(torch.float32).tiny)
        return lambda all_levels, start, end: (
            all_levels[start:end].div(floor[start:end]).sub_(1 + threshold).mul_(slope).sigmoid_()
        )

    return make


def fixed_mask(thresholds: Tensor, range_ratio: float) -> MakeMask:
    """A mask that opens while a level exceeds the threshold of its bin (noisereduce, stationary).

    `thresholds` is (bins,), in the unit of the levels. A level is at least `range_ratio` times the maximum of its bin.
    """

    def make(levels: Tensor) -> Mask:
        lowest = levels.amax(dim=0) * range_ratio
        return lambda all_levels, start, end: (all_levels[start:end].maximum(lowest) > thresholds).float()

    return make


def mean_over_time(levels: Tensor, decay: float) -> Tensor:
    """A first-order low-pass over time, forwards and then backwards (scipy's filtfilt without padding).

    y[t] = (1 - decay) x[t] + decay y[t-1], with the first level as the initial state.
    """
    powers = torch.arange(STEPS, dtype=torch.float64)
    response = ((1 - decay) * decay ** (powers[:, None] - powers).clamp_min(0)).tril().float()
    carried = (decay ** (powers + 1)).float()[:, None]
    means = torch.empty_like(levels)
    state = levels[0]
    for at in range(0, len(levels), STEPS):
        step = levels[at : at + STEPS]
        length = len(step)
        means[at : at + length] = torch.addmm(carried[:length] * state, response[:length, :length], step)
        state = means[at + length - 1]
    state = means[-1].clone()
    for at in range(len(levels), 0, -STEPS):
        step = means[max(0, at - STEPS) : at]
        length = len(step)
        step.copy_(torch.addmm(carried[:length].flip(0) * state, response[:length, :length].T, step))
        state = step[0]
    return means


def smoothed(padded: Tensor, bins: int, frames: int) -> Tensor:
    """Convolve the mask with a triangle over bins and one over frames. `padded` has that many more on each side.

    A triangle is a box applied twice. On the flattened array, boxes of both directions are sums of shifted copies.
    """
    rows, width = padded.shape
    flat = padded.reshape(-1)
    for length, step in ((bins + 1, 1), (frames + 1, width)):
        flat = _boxed(_boxed(flat, length, step), length, step)
    flat /= ((bins + 1) * (frames + 1)) ** 2
    return flat.as_strided((rows - 2 * frames, width - 2 * bins), (width, 1))


def _spectra(samples: Tensor, window: Tensor, hop: int) -> Tensor:
    around = PADDING_HOPS * hop
    padded = torch.nn.functional.pad(samples, (around, around))
    spectra: Tensor = torch.fft.rfft(padded.unfold(0, len(window), hop) * window)
    return spectra


def _smoothed_mask(mask: Mask, levels: Tensor, start: int, end: int, shape: GateShape) -> Tensor:
    bins, frames = shape.smoothed_bins, shape.smoothed_frames
    first, last = max(0, start - frames), min(len(levels), end + frames)
    padded = torch.zeros(end - start + 2 * frames, levels.shape[1] + 2 * bins)
    at = first - (start - frames)
    padded[at : at + last - first, bins : bins + levels.shape[1]] = mask(levels, first, last)
    return smoothed(padded, bins, frames).mul(shape.strength).add_(1 - shape.strength)


def _boxed(flat: Tensor, length: int, step: int) -> Tensor:
    """Sums of `length` values at distance `step`, by doubling: nine values take four additions instead of eight."""
    double, size, total, offset = flat, 1, None, 0
    out_length = len(flat) - (length - 1) * step
    for bit in range(math.floor(math.log2(length)) + 1):
        if length >> bit & 1:
            part = double[offset : offset + out_length]
            total = part.clone() if total is None else total.add_(part)
            offset += size * step
        if length >> bit > 1:
            double = double[: len(double) - size * step] + double[size * step :]
            size *= 2
    return flat if total is None else total


INPUT_S = 106.0  # a block of 90 s and its context
MAX_INPUT_FRAMES = 2_800_000  # a frame takes 60 bytes, so blocks are shorter above 27 kHz
RANGE_RATIO = 1e-4  # noisereduce's 80 dB
DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(reduce_noise).parameters.items()}


class NoisereduceGate:
    """The non-stationary gate, with an adaptive noise floor, or the stationary gate."""

    # Four time constants of noisereduce's noise floor (2 s). At joints the difference from denoising in one piece is
    # 46 dB below the signal; with 6 s it is 31 dB.
    context_before_s = 8.0
    context_after_s = 8.0

    def __init__(self, settings: DenoiserSettings) -> None:
        self._settings = settings
        self.wants_excerpt = settings.is_stationary

    def max_input_frames(self, sample_rate_hz: int) -> int:
        return min(round(INPUT_S * sample_rate_hz), MAX_INPUT_FRAMES)

    def grid_frames(self, sample_rate_hz: int) -> int:
        """One grid of STFT frames for the whole source: adjacent blocks then agree 8 to 16 dB better."""
        return fft_length(sample_rate_hz) // HOPS

    def cleaner(self, sample_rate_hz: int, excerpt: Mono | None) -> Cleaner:
        gate = self._gate(sample_rate_hz, excerpt)
        shape = _shape(gate, self._settings.strength)
        make_mask = _fixed(gate, shape) if self._settings.is_stationary else _floating(gate, shape)

        def clean(samples: Mono, start: int, end: int) -> Mono:
            with torch.inference_mode():
                tensor = torch.from_numpy(np.ascontiguousarray(samples))
                return np.asarray(gated(tensor, start, end, shape, make_mask).numpy(), dtype=np.float32)

        return clean

    def _gate(self, sample_rate_hz: int, excerpt: Mono | None) -> Any:
        """The library's object. The stationary gate takes its thresholds from `excerpt`."""
        kind = SpectralGateStationary if self._settings.is_stationary else SpectralGateNonStationary
        n_fft = fft_length(sample_rate_hz)
        noise = np.zeros(1, np.float32) if excerpt is None else np.resize(excerpt, max(len(excerpt), n_fft))
        chosen = {"y": noise, "sr": sample_rate_hz, "n_fft": n_fft, "chunk_size": None}
        return kind(**{name: chosen.get(name, DEFAULTS[name]) for name in inspect.signature(kind).parameters})


def fft_length(sample_rate_hz: int) -> int:
    """noisereduce's 1024 if that allows its smoothing over 500 Hz and 50 ms, else a length that does."""
    if sample_rate_hz < 6_000:
        return 512
    return 1024 if sample_rate_hz <= 192_000 else 2048


def _shape(gate: Any, strength: float) -> GateShape:
    bins, frames = gate._smoothing_filter.shape if gate.smooth_mask else (1, 1)  # noqa: SLF001 - no public name
    return GateShape(n_fft=gate._n_fft, smoothed_bins=bins // 2, smoothed_frames=frames // 2, strength=strength)  # noqa: SLF001 - as above


def _floating(gate: Any, shape: GateShape) -> MakeMask:
    # The library's approximation of a low-pass for a time constant.
    time_constant = DEFAULTS["time_constant_s"] * gate.sr / shape.hop  # in frames
    weight = (math.sqrt(1 + 4 * time_constant**2) - 1) / (2 * time_constant**2)
    threshold, slope = DEFAULTS["thresh_n_mult_nonstationary"], DEFAULTS["sigmoid_slope_nonstationary"]
    return floating_mask(decay=1 - weight, threshold=threshold, slope=slope)


def _fixed(gate: Any, shape: GateShape) -> MakeMask:
    in_decibels = torch.from_numpy(gate.noise_thresh)  # of scipy's spectra, which are divided by the sum of the window
    return fixed_mask((10 ** (in_decibels / 20) * (shape.n_fft / 2)).float(), RANGE_RATIO)
