"""Detects streams of frames without a container (MP3, AAC in ADTS, AC-3) by their headers; part of `sniff_container`.

A sync word alone proves nothing, because random bytes hold many. The header's fields must be valid, and a next frame
must follow if it would start within the given bytes.
"""

from collections.abc import Callable

ID3_HEADER_BYTES = 10

# ISO/IEC 11172-3 table of bit rates in kbit/s; index 0 is "free format" and 15 is forbidden: neither is accepted.
KBPS_V1 = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
KBPS_V2 = {
    1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
RATES_HZ = (44100, 48000, 32000)
RATE_DIVISOR = {0b11: 1, 0b10: 2, 0b00: 4}  # MPEG 1, 2 and 2.5

# ATSC A/52 table 5.18: kbit/s by half of frmsizecod.
AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
AC3_RATES_HZ = (48000, 44100, 32000)


def sniff_frames(head: bytes) -> str | None:
    """Return `mp3`, `aac` or `ac3` if the bytes are such frames, perhaps after an ID3 tag or zero padding."""
    start = id3_end(head)
    if start is None:
        start = len(head) - len(head.lstrip(b"\x00"))
    elif start + 4 > len(head):
        return "mp3"  # the tag, with its pictures, is longer than the given bytes
    frames = head[start:].lstrip(b"\x00")
    return next((name for name, frame_bytes in FRAMES if _run_of_frames(frames, frame_bytes)), None)


def id3_end(head: bytes) -> int | None:
    """Return the end of an ID3v2 tag, or None without one (id3.org, ID3v2.4 section 3.1)."""
    if head[:3] != b"ID3" or len(head) < ID3_HEADER_BYTES:
        return None
    size = head[6:10]
    if head[3] not in {2, 3, 4} or head[4] == 0xFF or max(size) > 0x7F:
        return None
    return ID3_HEADER_BYTES + sum(byte << shift for byte, shift in zip(size, (21, 14, 7, 0), strict=True))


def _run_of_frames(data: bytes, frame_bytes: Callable[[bytes], int]) -> bool:
    """Whether the data starts with a valid frame and, if long enough, continues with another."""
    first = frame_bytes(data)
    if not first:
        return False
    following = data[first : first + 8]
    return len(following) < 8 or frame_bytes(following) > 0


def mpeg_frame_bytes(header: bytes) -> int:
    """Return the length of the MPEG audio frame that starts here, or 0."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    kbps_index, rate_index, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or rate_index == 3 or not 1 <= kbps_index <= 14 or header[3] & 3 == 2:
        return 0
    rate_hz = RATES_HZ[rate_index] // RATE_DIVISOR[version]
    bits = (KBPS_V1 if version == 3 else KBPS_V2)[layer][kbps_index - 1] * 1000
    if layer == 1:
        return (12 * bits // rate_hz + padding) * 4
    samples_per_bit = 72 if layer == 3 and version != 3 else 144
    return samples_per_bit * bits // rate_hz + padding


def adts_frame_bytes(header: bytes) -> int:
    """Return the length of the ADTS frame that starts here, or 0 (ISO/IEC 13818-7)."""
    if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > 7 else 0


def ac3_frame_bytes(header: bytes) -> int:
    """Return the length of the AC-3 or E-AC-3 frame that starts here, or 0 (ATSC A/52)."""
    if len(header) < 6 or header[:2] != b"\x0b\x77":
        return 0
    stream_id, rate_index, size_index = header[5] >> 3, header[4] >> 6, header[4] & 63
    if 10 < stream_id <= 16:
        return ((header[2] & 7) << 8 | header[3]) * 2 + 2
    if stream_id > 10 or rate_index == 3 or size_index >= 2 * len(AC3_KBPS):
        return 0
    rate_hz = AC3_RATES_HZ[rate_index]
    words = AC3_KBPS[size_index >> 1] * 96000 // rate_hz  # 1536 samples a frame, 16 bits a word
    return 2 * (words + (size_index & 1 if rate_hz == 44100 else 0))


FRAMES = (("mp3", mpeg_frame_bytes), ("aac", adts_frame_bytes), ("ac3", ac3_frame_bytes))
