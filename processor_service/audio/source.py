"""The interface of the decoders, and the array types of audio."""

from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from processor_service.audio.media_clock import ClockReport

Block = npt.NDArray[np.float32]  # (frames, channels), full scale at -1 and 1
Mono = npt.NDArray[np.float32]  # (samples,)
Progress = Callable[[float], None]  # gets the completed fraction, 0 to 1

BLOCK_S = 2.0  # approximate length of a block


class SourceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The properties of a source before decoding. `duration_s` is stated by the file and may be wrong."""

    sample_rate_hz: int
    channels: int
    duration_s: float | None
    format: str
    codec: str
    bit_depth: int  # 16 or 24: stores the source as FLAC without loss


class Decoder(Protocol):
    """A file opened by one library. `blocks` may be read once and raises AudioError."""

    facts: SourceFacts

    @property
    def first_frame(self) -> int:
        """Where the first block begins, once there is one: after 0 only if what is before is not wanted."""
        ...

    @property
    def decode_errors(self) -> int:
        """The number of damaged parts skipped so far."""
        ...

    @property
    def clock_report(self) -> ClockReport:
        """The report of what was read so far."""
        ...

    def blocks(self) -> Iterator[Block]:
        """The samples of the file, not always finite or within full scale."""
        ...

    def close(self) -> None: ...


def block_frames(sample_rate_hz: int) -> int:
    return max(1, int(sample_rate_hz * BLOCK_S))
