"""Put a WAV header before samples that arrive without one: 16 kHz, mono, 16-bit little-endian integers."""

import struct
from collections.abc import AsyncIterator

SAMPLE_RATE_HZ = 16_000
FRAME_BYTES = 2
PCM, CHANNELS = 1, 1
UNKNOWN_BYTES = 0xFFFF_FFFF  # programs that write to a pipe leave this; readers take all bytes that follow
_FORMAT = struct.pack(
    "<HHIIHH", PCM, CHANNELS, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ * FRAME_BYTES, FRAME_BYTES, 8 * FRAME_BYTES
)
HEADER = b"".join(
    [
        struct.pack("<4sI4s", b"RIFF", UNKNOWN_BYTES, b"WAVE"),
        struct.pack("<4sI", b"fmt ", len(_FORMAT)) + _FORMAT,
        struct.pack("<4sI", b"data", UNKNOWN_BYTES),
    ]
)
MAGIC_BYTES = 12  # of a RIFF file: its name, size and form


async def with_wav_header(samples: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield a header and the samples, whose number is unknown. Add no header to a WAV file, and none to nothing."""
    start = b""
    async for piece in samples:
        start += piece
        if len(start) >= MAGIC_BYTES:
            break
    if start:
        yield as_wav(start)
    async for piece in samples:
        yield piece


def as_wav(start: bytes) -> bytes:
    """Return the samples that begin so, with a header before them unless they are a WAV file, or none."""
    is_wav = start[:4] == b"RIFF" and start[8:MAGIC_BYTES] == b"WAVE"  # no samples of sound begin so
    return start if is_wav or not start else HEADER + start
