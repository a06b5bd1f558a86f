"""The audio of upload number n: a WAV of noise with a stamp at the start of each mebibyte.

A stamp holds the numbers of the upload and of the block. The check therefore detects swapped, duplicated or mixed
blocks.
"""

import hashlib
import random
import struct
from collections.abc import Iterator

HEADER_BYTES = 44
BLOCK_BYTES = 1 << 20
STAMP = struct.Struct("<QQ")  # upload, block
NOISE = random.Random(5).randbytes(BLOCK_BYTES - STAMP.size)
UNKNOWN_SIZE = 0xFFFFFFFF  # the usual value for an unknown size, or one above 32 bits


def wav_header(audio_bytes: int) -> bytes:
    """Return a header (16 kHz, mono, 16 bits) for a file of `audio_bytes`, header included."""
    riff_bytes, data_bytes = (min(size, UNKNOWN_SIZE) for size in (audio_bytes - 8, audio_bytes - HEADER_BYTES))
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", riff_bytes, b"WAVE", b"fmt ", 16, 1, 1, 16000, 32000, 2, 16)
    return head + struct.pack("<4sI", b"data", data_bytes)


def split_blocks(audio_bytes: int) -> tuple[int, int]:
    """Return the number of whole blocks and the bytes of the last. Raise ValueError when the last is too small."""
    whole, last_bytes = divmod(audio_bytes - HEADER_BYTES, BLOCK_BYTES)
    if whole < 0 or last_bytes < STAMP.size:
        raise ValueError(f"{audio_bytes} bytes: the last block is too small for its stamp")
    return whole, last_bytes


def audio_pieces(number: int, audio_bytes: int) -> Iterator[bytes]:
    """Yield the file in pieces of at most 1 MiB."""
    whole, last_bytes = split_blocks(audio_bytes)
    yield wav_header(audio_bytes)
    for block in range(whole):
        yield STAMP.pack(number, block) + NOISE
    yield STAMP.pack(number, whole) + NOISE[: last_bytes - STAMP.size]


def audio_sha256(number: int, audio_bytes: int) -> str:
    """Return the hexadecimal digest of the file."""
    digest = hashlib.sha256()
    for piece in audio_pieces(number, audio_bytes):
        digest.update(piece)
    return digest.hexdigest()
