"""The quality of a denoised signal, independent of its level."""

import math

import numpy as np

from processor_service.audio.source import Mono


def si_sdr_db(estimate: Mono, reference: Mono) -> float:
    """The scale-invariant signal-to-distortion ratio of (samples,) in dB, for signals of equal length, without means.

    Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019.
    """
    signal = np.asarray(estimate, np.float64) - np.mean(estimate, dtype=np.float64)
    wanted = np.asarray(reference, np.float64) - np.mean(reference, dtype=np.float64)
    target = float(signal @ wanted) / float(wanted @ wanted) * wanted
    distortion = signal - target
    return 10 * math.log10(float(target @ target) / max(float(distortion @ distortion), 1e-20))
