"""Reads the headers of audio frames: their lengths. Pure.

Each function gets the bytes from the frame's start and returns the frame's length, or 0 if no frame starts there.
"""

HEADER_BYTES = 33  # the most that a function reads

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


def loas_frame_bytes(header: bytes) -> int:
    """Return the length of the LOAS frame (AAC in LATM) that starts here, or 0 (ISO/IEC 14496-3)."""
    if len(header) < 3 or header[0] != 0x56 or header[1] & 0xE0 != 0xE0:
        return 0
    return ((header[1] & 0x1F) << 8 | header[2]) + 3


# RFC 4867: bytes of a frame with its header, by frame type; 0 is reserved.
AMR_NB_BYTES = (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1)
AMR_WB_BYTES = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1)


def amr_frame_bytes(header: bytes, by_type: tuple[int, ...]) -> int:
    """Return the length of the undamaged AMR frame that starts here, or 0 (RFC 4867, section 5.3)."""
    if not header or header[0] & 0x87 != 0x04:  # padding bits, and the bit that says "undamaged"
        return 0
    return by_type[header[0] >> 3]


GSM_FRAME_BYTES = 33


def gsm_frame_bytes(header: bytes) -> int:
    """Return 33 if a GSM 06.10 frame starts here, or 0. Its first half byte is 13; not that of all its bytes."""
    is_frame = len(header) >= GSM_FRAME_BYTES and header[0] >> 4 == 0xD
    return GSM_FRAME_BYTES if is_frame and any(byte >> 4 != 0xD for byte in header[:GSM_FRAME_BYTES]) else 0
