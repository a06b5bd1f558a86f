"""What a denoiser is: the seam between audio/denoise.py, which reads, cuts and joins, and the methods."""

from collections.abc import Callable
from typing import Annotated, Protocol

import msgspec

from processor_service.audio.source import Mono

# What is made of one channel: heard (samples,) and the span [start, end) of it that is wanted, to (end - start,).
# The same length, in place, finite; not always within full scale.
Cleaner = Callable[[Mono, int, int], Mono]


class DenoiserSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which denoiser, and what it is set to."""

    name: str = "noisereduce"
    is_stationary: bool = False  # noisereduce: one threshold for all of a chunk, not a noise floor that follows it
    strength: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0  # how much of what is found to be noise is taken away


class Denoiser(Protocol):
    """One method. Blocks are heard with context around them, because what it does depends on what lies near."""

    context_before_s: float
    context_after_s: float
    wants_excerpt: bool

    def heard_frames(self, sample_rate_hz: int) -> int:
        """The longest stretch to hear at a time, context and all: what bounds its memory."""
        ...

    def grid_frames(self, sample_rate_hz: int) -> int:
        """What it hears had better begin at a multiple of this, counted from the source's start."""
        ...

    def cleaner(self, sample_rate_hz: int, excerpt: Mono | None) -> Cleaner:
        """For one channel of a file; `excerpt` is some of it, from all over, when the denoiser wants that."""
        ...
