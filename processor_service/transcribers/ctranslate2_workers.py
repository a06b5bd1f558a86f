"""A Whisper model in CTranslate2 whose workers share out the windows of a batch.

On a CPU, workers of one thread each idle less than the threads of one worker: 0.7 of the time on two cores.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from ctranslate2 import StorageView
from ctranslate2.models import Whisper

from processor_service.transcribers.transcriber import FloatArray

MAX_WORKERS = 4  # each takes memory, and there are too few windows in a batch for more

Result = TypeVar("Result")


class Workers:
    """A model folder, loaded once for at `most` so many workers; `threads` are those of a CPU, for all of them."""

    def __init__(self, path: Path, device: str, threads: int, *, most: int = MAX_WORKERS) -> None:
        self.count = 1 if device == "cuda" else min(threads, most)
        self.model = Whisper(
            str(path),
            device=device,
            compute_type="float16" if device == "cuda" else "int8",
            inter_threads=self.count,
            intra_threads=max(1, threads // self.count),
        )
        self._pool = ThreadPoolExecutor(self.count)

    def encode(self, spectrograms: FloatArray) -> FloatArray:
        """The encoder's output for windows of shape (windows, mels, frames).

        One by one: no slower on a CPU, and attention takes 50 MB and more of memory for each.
        """
        return np.concatenate(list(self._pool.map(self._encode_one, spectrograms)))

    def share_out(self, work: Callable[[slice], Sequence[Result]], windows: int) -> list[Result]:
        """The results of `work` for all windows, in order; each worker is given a slice of them."""
        each = max(1, -(-windows // self.count))
        slices = [slice(first, min(first + each, windows)) for first in range(0, windows, each)]
        return [result for results in self._pool.map(work, slices) for result in results]

    def _encode_one(self, spectrogram: FloatArray) -> FloatArray:
        return np.array(self.model.encode(stored(spectrogram[None]), to_cpu=True))


def stored(array: FloatArray) -> StorageView:
    """An array as CTranslate2 takes it; it may share its memory."""
    return StorageView.from_array(np.ascontiguousarray(array))
