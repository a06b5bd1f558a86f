"""Mix channels to mono without losing any: opposite phases do not cancel, and a single channel keeps its level."""

import msgspec
import numpy as np
import numpy.typing as npt

from processor_service.audio.source import Block, Mono

CANCELLED = 0.1  # a mix with less than this fraction of the energy of uncorrelated channels has cancelled


class ChannelLevels:
    """The energies and the peak of a stream of blocks, from which the mix is chosen."""

    def __init__(self, channels: int) -> None:
        self._energies: npt.NDArray[np.float64] = np.zeros(channels)
        self._mix_energy = 0.0
        self._mix_peak = 0.0

    def add(self, block: Block) -> None:
        mix = block.mean(axis=1)
        self._energies += np.einsum("ij,ij->j", block, block)
        self._mix_energy += float(mix @ mix)
        self._mix_peak = max(self._mix_peak, float(np.abs(mix).max(initial=0.0)))

    def mix(self) -> "Mix":
        """The mean of the channels at the level of the loudest channel, or that channel if the mean cancels."""
        channels, loudest = len(self._energies), int(self._energies.argmax())
        if self._mix_energy <= CANCELLED * float(self._energies.sum()) / channels**2:
            return Mix(channel=loudest, gain=1.0)
        gain = float(np.sqrt(self._energies[loudest] / self._mix_energy))
        return Mix(channel=None, gain=max(1.0, min(gain, 1.0 / self._mix_peak)))


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """How to make one channel of several: one of them, or the mean of all with a gain."""

    channel: int | None
    gain: float

    def apply(self, block: Block) -> Mono:
        if self.channel is not None:
            return np.ascontiguousarray(block[:, self.channel])
        return np.asarray(block.mean(axis=1) * np.float32(self.gain), dtype=np.float32)


def mix_channels(block: Block) -> Mono:
    """Mix one block (frames, channels) to mono. For audio that is in memory as a whole."""
    levels = ChannelLevels(block.shape[1])
    levels.add(block)
    return levels.mix().apply(block)
