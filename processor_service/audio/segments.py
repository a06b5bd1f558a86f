"""Cut a stream of audio into segments with context, so that a decision about hours of audio needs little memory."""

from collections.abc import Iterable, Iterator

import numpy as np

from processor_service.audio.source import Block


def segments(blocks: Iterable[Block], length: int, context: int) -> Iterator[tuple[Block, int, int]]:
    """Cut a stream of blocks (frames, channels) into segments of `length` frames; the last one is shorter or longer.

    Yield a segment with up to `context` frames on both sides, the length of the context before, and of the segment.
    """
    held: Block | None = None
    lead = 0
    for block in blocks:
        held = block if held is None else np.concatenate([held, block])
        while len(held) >= lead + length + context:
            yield held[: lead + length + context], lead, length
            held = held[lead + length - context :]
            lead = context
    if held is not None and len(held) > lead:
        yield held, lead, len(held) - lead
