"""The arithmetic of noisereduce's spectral gates in 32 bits: several times as fast, the same but for rounding.

Spectra are (frames, bins). Everything after the spectra is done in tiles that stay in the processor's cache.
"""

import math
from collections.abc import Callable

import msgspec
import torch
from torch import Tensor

HOPS = 4  # in a window: noisereduce's overlap of three quarters
WINDOW_POWER = 1.5  # the sum of the squares of a Hann window's four overlapping quarters
TILE = 256  # frames; half a megabyte
STEPS = 64  # frames of the noise floor's recursion that one product of matrices takes
# noisereduce hears two windows of silence on both sides, and scipy half a window more.
PADDING_HOPS = 5 * HOPS // 2

Mask = Callable[[Tensor, int, int], Tensor]  # of the levels of all frames, those from start to end
MakeMask = Callable[[Tensor], Mask]  # from the levels of all frames


class GateShape(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of a gate: of its window, and of the triangles that smooth its mask, on either side of their middle."""

    n_fft: int
    smoothed_bins: int
    smoothed_frames: int
    strength: float

    @property
    def hop(self) -> int:
        return self.n_fft // HOPS


def gated(samples: Tensor, start: int, end: int, shape: GateShape, make_mask: MakeMask) -> Tensor:
    """The samples from start to end of (samples,), each frame's spectrum multiplied by its smoothed mask."""
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
    """Open where a level is `threshold` times above its own mean over time (noisereduce, not stationary)."""

    def make(levels: Tensor) -> Mask:
        floor = mean_over_time(levels, decay).clamp_min_(torch.finfo(torch.float32).tiny)
        return lambda all_levels, start, end: (
            all_levels[start:end].div(floor[start:end]).sub_(1 + threshold).mul_(slope).sigmoid_()
        )

    return make


def fixed_mask(thresholds: Tensor, range_ratio: float) -> MakeMask:
    """Open where a level is above its bin's threshold (noisereduce, stationary); (bins,), in units of the levels.

    Nothing counts as lower than `range_ratio` times the loudest of its bin.
    """

    def make(levels: Tensor) -> Mask:
        lowest = levels.amax(dim=0) * range_ratio
        return lambda all_levels, start, end: (all_levels[start:end].maximum(lowest) > thresholds).float()

    return make


def mean_over_time(levels: Tensor, decay: float) -> Tensor:
    """A first-order low-pass over time, forwards and then backwards (scipy's filtfilt without padding).

    y[t] = (1 - decay) x[t] + decay y[t-1], begun as if the first level had always been there.
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
    """The mask convolved with a triangle over bins and one over frames, of which `padded` has so many more around it.

    A triangle is a box twice. Flattened, the boxes of both directions are sums of shifted copies.
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
    """Sums of `length` values that lie `step` apart, by doubling: nine of them take four additions, not eight."""
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
