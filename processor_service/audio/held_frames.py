"""The frames that a streaming writer still needs: the end of what was read, by frame numbers of the source."""

from collections import deque

import numpy as np

from processor_service.audio.source import Block


class HeldFrames:
    """Blocks (frames, channels) from `start_frame` to `end_frame` of a stream."""

    def __init__(self, channels: int) -> None:
        self._blocks: deque[Block] = deque()
        self._empty: Block = np.zeros((0, channels), np.float32)
        self.start_frame = 0
        self.end_frame = 0

    def append(self, block: Block) -> None:
        self._blocks.append(block)
        self.end_frame += len(block)

    def read(self, start_frame: int, end_frame: int) -> Block:
        """A copy of the frames from start to end, all of which must be held still."""
        parts = [self._empty]
        position = self.start_frame
        for block in self._blocks:
            parts.append(block[max(0, start_frame - position) : max(0, end_frame - position)])
            position += len(block)
        return np.concatenate(parts)

    def drop_before(self, frame: int) -> None:
        """Let go of whole blocks that end before the frame."""
        while self._blocks and self.start_frame + len(self._blocks[0]) <= frame:
            self.start_frame += len(self._blocks.popleft())
