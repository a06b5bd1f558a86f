"""Files that are small and decode to very much audio."""

import struct
from pathlib import Path

import numpy as np


def _atom(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


CHUNK_FRAMES = 8192


def repeating_mov(path: Path, *, repeats: int, channels: int = 2, rate_hz: int = 48_000, peak: int = 1 << 14) -> int:
    """Write a MOV whose `stco` names its only chunk of noise `repeats` times. Return its decoded bytes.

    A `peak` of 0 makes it silent.
    """
    noise = np.random.default_rng(0).integers(-peak, peak + 1, (CHUNK_FRAMES, channels), np.int16).tobytes()
    frames = repeats * CHUNK_FRAMES
    ftyp = _atom(b"ftyp", b"qt  ", struct.pack(">I", 0x200), b"qt  ")
    audio = struct.pack(">6xHHHIHHHHI", 1, 0, 0, 0, channels, 16, 0, 0, rate_hz << 16)
    table = _atom(
        b"stbl",
        _atom(b"stsd", struct.pack(">II", 0, 1), _atom(b"sowt", audio)),
        _atom(b"stts", struct.pack(">IIII", 0, 1, frames, 1)),
        _atom(b"stsc", struct.pack(">IIIII", 0, 1, 1, CHUNK_FRAMES, 1)),
        _atom(b"stsz", struct.pack(">III", 0, 2 * channels, frames)),
        _atom(b"stco", struct.pack(">II", 0, repeats), struct.pack(">I", len(ftyp) + 8) * repeats),
    )
    url = _atom(b"url ", struct.pack(">I", 1))
    media = _atom(
        b"mdia",
        _atom(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, rate_hz, frames, 0, 0)),
        _atom(b"hdlr", struct.pack(">I", 0), b"mhlrsoun", bytes(13)),
        _atom(
            b"minf",
            _atom(b"smhd", bytes(8)),
            _atom(b"dinf", _atom(b"dref", struct.pack(">II", 0, 1), url)),
            table,
        ),
    )
    unity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    head = struct.pack(">IIIII", 0, 0, 0, rate_hz, frames)
    movie = _atom(b"mvhd", head, struct.pack(">IHH8x", 1 << 16, 256, 0), unity, bytes(24), struct.pack(">I", 2))
    track = _atom(b"tkhd", struct.pack(">IIIIIIQ", 7, 0, 0, 1, 0, frames, 0), bytes(8), unity, bytes(8))
    path.write_bytes(ftyp + _atom(b"mdat", noise) + _atom(b"moov", movie, _atom(b"trak", track, media)))
    return frames * channels * 2
