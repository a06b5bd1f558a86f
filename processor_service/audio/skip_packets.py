"""Skip the packets before a part of a track without decoding them, if their time stamps are those of a plain clock.

Containers seek to the key frames that their index names, and time stamps lie (media_clock.py). So packets are read in
order and judged; where one is not where its predecessors end, the track is decoded from its beginning.
"""

from typing import TYPE_CHECKING

from processor_service.audio.media_clock import JITTER_S
from processor_service.audio.timeline import NO_TIME_STAMPS

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet

PREROLL_S = 1.0  # decoded before the part: codecs need up to 0.1 s to be exact


class NotPlainError(Exception):
    """The clock of the track is not plain: decode all of it."""


class PacketSkipper:
    """Judges the packets before `start_s`. `zero_s` is the time stamp of position 0.

    `read_s` is the length of those that were decoded already.
    """

    def __init__(self, *, zero_s: float, start_s: float, read_s: float) -> None:
        self._zero_s = zero_s
        self._until_s = start_s - PREROLL_S
        self.position_s = read_s  # where the next packet should begin

    def skips(self, packet: "Packet[AudioStream]") -> bool:
        """Return whether to skip a packet. Raise NotPlainError if it is out of place."""
        if not packet.size:  # the end
            return True
        if packet.pts is None or not packet.duration or packet.is_corrupt:
            raise NotPlainError
        start_s = float(packet.pts * packet.time_base) - self._zero_s
        if abs(start_s - self.position_s) > JITTER_S:
            raise NotPlainError
        self.position_s = start_s + float(packet.duration * packet.time_base)
        return self.position_s <= self._until_s


def can_skip(format_name: str, start_s: float, read_s: float) -> bool:
    """Return whether a format has time stamps of its own, and skipping is worth it."""
    return format_name not in NO_TIME_STAMPS and start_s - PREROLL_S > read_s
