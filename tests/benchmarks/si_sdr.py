"""How much of a signal is the wanted one, whatever its loudness."""

import math

import numpy as np

from processor_service.audio.source import Mono


def si_sdr_db(estimate: Mono, reference: Mono) -> float:
    """The scale-invariant signal-to-distortion ratio of (samples,) in dB; both of the same length, means removed.

    Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019.
    """
    heard = np.asarray(estimate, np.float64) - np.mean(estimate, dtype=np.float64)
    wanted = np.asarray(reference, np.float64) - np.mean(reference, dtype=np.float64)
    target = float(heard @ wanted) / float(wanted @ wanted) * wanted
    distortion = heard - target
    return 10 * math.log10(float(target @ target) / max(float(distortion @ distortion), 1e-20))
