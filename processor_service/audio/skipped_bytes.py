"""The length of the sound that is lost in damaged parts of a file whose format has no time stamps."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.packet import Packet

TAGS = (b"ID3", b"TAG", b"APETAGEX")  # metadata, which is no damaged sound


class SkippedBytes:
    """The sound that was lost in damaged parts of a format without time stamps, by its bytes. FFmpeg counts nothing."""

    def __init__(self) -> None:
        self._good_bytes, self._good_s = 0, 0.0
        self.sound_s = 0.0

    def add_good(self, packet: "Packet[AudioStream]") -> None:
        self._good_bytes += packet.size
        self._good_s += length_s(packet)

    def add_damaged(self, packet: "Packet[AudioStream]") -> None:
        if self._good_bytes and not bytes(packet).startswith(TAGS):
            self.sound_s += max(0.0, packet.size * self._good_s / self._good_bytes - length_s(packet))


def length_s(packet: "Packet[AudioStream]") -> float:
    """Return the length of a packet in seconds, by its container."""
    return float((packet.duration or 0) * packet.time_base)
