"""noisereduce: a gate for every band of frequency, shut where the level is near the background's.

The library makes the gate (its sizes, its thresholds); spectral_gate.py does the arithmetic.
"""

import inspect
import math
from typing import Any

import numpy as np
import torch
from noisereduce import reduce_noise
from noisereduce.spectralgate import SpectralGateNonStationary, SpectralGateStationary

from processor_service.audio.source import Mono
from processor_service.denoisers.denoiser import Cleaner, DenoiserSettings
from processor_service.denoisers.spectral_gate import HOPS, GateShape, MakeMask, fixed_mask, floating_mask, gated

HEARD_S = 106.0  # a block of 90 s and its context
MAX_HEARD_FRAMES = 2_800_000  # a frame takes 60 bytes, so blocks are shorter above 27 kHz
RANGE_RATIO = 1e-4  # noisereduce's 80 dB
DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(reduce_noise).parameters.items()}


class NoisereduceGate:
    """The non-stationary gate, whose noise floor follows the signal, or the stationary one."""

    # Four time constants of noisereduce's noise floor (2 s). At joints the difference from the whole denoised in one
    # piece lies 46 dB below the signal, with 6 s 31 dB.
    context_before_s = 8.0
    context_after_s = 8.0

    def __init__(self, settings: DenoiserSettings) -> None:
        self._settings = settings
        self.wants_excerpt = settings.is_stationary

    def heard_frames(self, sample_rate_hz: int) -> int:
        return min(round(HEARD_S * sample_rate_hz), MAX_HEARD_FRAMES)

    def grid_frames(self, sample_rate_hz: int) -> int:
        """On one grid of STFT frames throughout the source, neighbours agree 8 to 16 dB better."""
        return fft_length(sample_rate_hz) // HOPS

    def cleaner(self, sample_rate_hz: int, excerpt: Mono | None) -> Cleaner:
        gate = self._gate(sample_rate_hz, excerpt)
        shape = _shape(gate, self._settings.strength)
        make_mask = _fixed(gate, shape) if self._settings.is_stationary else _floating(gate, shape)

        def clean(samples: Mono, start: int, end: int) -> Mono:
            with torch.inference_mode():
                heard = torch.from_numpy(np.ascontiguousarray(samples))
                return np.asarray(gated(heard, start, end, shape, make_mask).numpy(), dtype=np.float32)

        return clean

    def _gate(self, sample_rate_hz: int, excerpt: Mono | None) -> Any:
        """The library's own object, of whose thresholds `excerpt` is the source when it is stationary."""
        kind = SpectralGateStationary if self._settings.is_stationary else SpectralGateNonStationary
        n_fft = fft_length(sample_rate_hz)
        heard = np.zeros(1, np.float32) if excerpt is None else np.resize(excerpt, max(len(excerpt), n_fft))
        chosen = {"y": heard, "sr": sample_rate_hz, "n_fft": n_fft, "chunk_size": None}
        return kind(**{name: chosen.get(name, DEFAULTS[name]) for name in inspect.signature(kind).parameters})


def fft_length(sample_rate_hz: int) -> int:
    """noisereduce's own 1024 wherever its smoothing over 500 Hz and 50 ms can be had with that, else what allows it."""
    if sample_rate_hz < 6_000:
        return 512
    return 1024 if sample_rate_hz <= 192_000 else 2048


def _shape(gate: Any, strength: float) -> GateShape:
    bins, frames = gate._smoothing_filter.shape if gate.smooth_mask else (1, 1)  # noqa: SLF001 - where the library keeps it
    return GateShape(n_fft=gate._n_fft, smoothed_bins=bins // 2, smoothed_frames=frames // 2, strength=strength)  # noqa: SLF001 - as above


def _floating(gate: Any, shape: GateShape) -> MakeMask:
    # The library's approximation of a low-pass that is half open at its time constant.
    time_constant = DEFAULTS["time_constant_s"] * gate.sr / shape.hop  # in frames
    weight = (math.sqrt(1 + 4 * time_constant**2) - 1) / (2 * time_constant**2)
    threshold, slope = DEFAULTS["thresh_n_mult_nonstationary"], DEFAULTS["sigmoid_slope_nonstationary"]
    return floating_mask(decay=1 - weight, threshold=threshold, slope=slope)


def _fixed(gate: Any, shape: GateShape) -> MakeMask:
    in_decibels = torch.from_numpy(gate.noise_thresh)  # of scipy's spectra, which are divided by the window's sum
    return fixed_mask((10 ** (in_decibels / 20) * (shape.n_fft / 2)).float(), RANGE_RATIO)
