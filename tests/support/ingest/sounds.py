"""Synthetic audio for tests."""

import struct

MIB = 1 << 20


def wav_header(data_bytes: int) -> bytes:
    """16 kHz mono, 16 bits."""
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + data_bytes, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    return head + struct.pack("<4sI", b"data", data_bytes)


def wav(data_bytes: int = 32000) -> bytes:
    return wav_header(data_bytes) + bytes(range(250)) * (data_bytes // 250)
