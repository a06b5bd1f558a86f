"""The interface between audio/denoise.py, which reads, cuts and joins, and the denoising methods."""

from collections.abc import Callable
from typing import Annotated, Protocol

import msgspec

from processor_service.audio.source import Mono

# Denoises one channel: gets (samples,) and the wanted span [start, end), returns (end - start,) samples without delay,
# finite, not always within full scale.
Cleaner = Callable[[Mono, int, int], Mono]


class DenoiserSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The denoiser and its settings."""

    name: str = "noisereduce"
    is_stationary: bool = False  # noisereduce: one threshold for the whole chunk instead of an adaptive noise floor
    strength: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0  # fraction of the detected noise that is removed


class Denoiser(Protocol):
    """One method. Blocks are denoised with context, because the result depends on the audio around them."""

    context_before_s: float
    context_after_s: float
    wants_excerpt: bool

    def max_input_frames(self, sample_rate_hz: int) -> int:
        """The maximum length of a block with its context, which bounds memory."""
        ...

    def grid_frames(self, sample_rate_hz: int) -> int:
        """Blocks with context should begin at a multiple of this, counted from the start of the source."""
        ...

    def cleaner(self, sample_rate_hz: int, excerpt: Mono | None) -> Cleaner:
        """A cleaner for one channel of a file. `excerpt` is a sample of the channel if `wants_excerpt`."""
        ...
