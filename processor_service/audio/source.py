"""What a decoder is and yields: the seam between the two decoding libraries and the rest."""

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

Block = npt.NDArray[np.float32]  # (frames, channels), full scale at -1 and 1
Mono = npt.NDArray[np.float32]  # (samples,)
Progress = Callable[[float], None]  # told how far the work is, 0 to 1

BLOCK_S = 2.0  # how much audio a block holds, about


class SourceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known before the first block; `duration_s` is what the file says or hints at, not a promise."""

    sample_rate_hz: int
    channels: int
    duration_s: float | None
    format: str
    codec: str
    bit_depth: int  # 16 or 24: what loses nothing of the source when it is stored as FLAC


class Decoder(Protocol):
    """An opened file of one library. `blocks` may be read once; its errors are AudioErrors."""

    facts: SourceFacts
    decode_errors: int  # damaged stretches skipped so far

    def blocks(self) -> Iterator[Block]:
        """The samples, as the file holds them: not always finite, nor always within full scale."""
        ...

    def close(self) -> None: ...


def block_frames(sample_rate_hz: int) -> int:
    return max(1, int(sample_rate_hz * BLOCK_S))
