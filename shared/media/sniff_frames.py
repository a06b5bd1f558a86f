"""Finds streams of frames without a container (MP3, AAC, AC-3, MPEG-TS, …); part of `sniff_container`. Pure.

A sync word alone proves nothing, because random bytes hold many: several valid frames of one stream must follow each
other. A capture of a broadcast begins in the middle of a frame, so the first frame may be anywhere.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from shared.media.frame_headers import (
    AMR_NB_BYTES,
    AMR_WB_BYTES,
    HEADER_BYTES,
    ac3_frame_bytes,
    adts_frame_bytes,
    amr_frame_bytes,
    gsm_frame_bytes,
    loas_frame_bytes,
    mpeg_frame_bytes,
)

# Limits the time for bytes that are full of sync words: first bytes that are looked at, headers that are read, a kind.
MAX_FIRST_BYTES = 512
MAX_HEADERS = 48


class FrameKind(NamedTuple):
    """A kind of frame. `frame_bytes` returns the length of the frame that starts with the given bytes, or 0."""

    name: str
    sync: bytes
    sync_mask: bytes  # the bits that make up `sync`
    frame_bytes: Callable[[bytes], int]
    frames: int  # so many prove a stream anywhere
    same: bytes = b""  # mask of the header bits that all frames of a stream share
    proven_at_start: int = 0  # so many prove a stream that starts with the first byte; 0: as anywhere


class WeakKind(NamedTuple):
    """A kind of frame without a sync word: it takes many frames, and the first is near the start."""

    name: str
    frame_bytes: Callable[[bytes], int]
    within: int  # the longest frame
    frames: int = 24


FRAME_KINDS = (
    FrameKind("mp3", b"\xff\xe0", b"\xff\xe0", mpeg_frame_bytes, 3, b"\xff\xfe\x0c", proven_at_start=2),
    FrameKind("aac", b"\xff\xf0", b"\xff\xf6", adts_frame_bytes, 3, b"\xff\xff\xfc", proven_at_start=2),
    FrameKind("ac3", b"\x0b\x77", b"\xff\xff", ac3_frame_bytes, 3, proven_at_start=2),
    FrameKind("latm", b"\x56\xe0", b"\xff\xe0", loas_frame_bytes, 4),
)
TS_SYNC = b"G"
TS_PACKET_BYTES = (188, 192, 204)  # MPEG transport stream: plain, with a time stamp, with error correction
TS_PACKETS = 5  # so many prove a stream
WEAK_KINDS = (
    WeakKind("amr", lambda data: amr_frame_bytes(data, AMR_NB_BYTES), 32),
    WeakKind("amr", lambda data: amr_frame_bytes(data, AMR_WB_BYTES), 61),
    WeakKind("gsm", gsm_frame_bytes, 33),
)

# Sync words so long that two in the given bytes are enough.
LONG_SYNCS = (
    ("dts", b"\x7f\xfe\x80\x01"),
    ("dts", b"\xfe\x7f\x01\x80"),
    ("dts", b"\x1f\xff\xe8\x00\x07"),
    ("dts", b"\xff\x1f\x00\xe8\xf1"),
    ("truehd", b"\xf8\x72\x6f\xba"),
    ("mpegps", b"\x00\x00\x01\xba"),
)
BEFORE_SYNC = {"truehd": 4, "mpegps": 1 << 20}  # bytes before the sync word that belong to the stream


def starts_with_frames(data: bytes) -> str | None:
    """Return the kind of the frames with which the data starts."""
    proven = (kind for kind in FRAME_KINDS if kind.proven_at_start)
    return next((kind.name for kind in proven if _is_run(kind, data, 0, kind.proven_at_start)), None)


def find_frames(data: bytes) -> tuple[str, int] | None:
    """Return the kind and the offset of the first run of frames, or None."""
    # Packets and packs first: they may contain frames of the other kinds.
    return _find_packets(data) or _find_long_sync(data) or _find_run(data) or _find_weak_frames(data)


def _find_run(data: bytes) -> tuple[str, int] | None:
    for kind in FRAME_KINDS:
        for at in islice(_syncs(kind, data), MAX_HEADERS):
            if _is_run(kind, data, at, kind.frames, all_here=True):
                return kind.name, at
    return None


def _syncs(kind: FrameKind, data: bytes) -> Iterator[int]:
    """The offsets of the kind's sync words, as far as the limit allows."""
    second, mask = kind.sync[1], kind.sync_mask[1]
    return (at for at in _offsets(data, kind.sync[:1]) if data[at + 1] & mask == second)


def _offsets(data: bytes, byte: bytes) -> Iterator[int]:
    at = -1
    for _ in range(MAX_FIRST_BYTES):
        at = data.find(byte, at + 1, -1)
        if at < 0:
            return
        yield at


def _find_packets(data: bytes) -> tuple[str, int] | None:
    """Find packets of a transport stream by their sync bytes."""
    for at in _offsets(data, TS_SYNC):
        for stride in TS_PACKET_BYTES:
            if data[at : at + TS_PACKETS * stride : stride] == TS_SYNC * TS_PACKETS:
                return "mpegts", at
    return None


def _find_long_sync(data: bytes) -> tuple[str, int] | None:
    for name, sync in LONG_SYNCS:
        at = data.find(sync)
        if at >= 0 and data.find(sync, at + len(sync)) > 0:
            return name, max(0, at - BEFORE_SYNC.get(name, 0))
    return None


def _find_weak_frames(data: bytes) -> tuple[str, int] | None:
    for kind in WEAK_KINDS:
        for at in range(kind.within):
            if _is_weak_run(kind, data, at):
                return kind.name, at
    return None


def _is_weak_run(kind: WeakKind, data: bytes, at: int) -> bool:
    for _ in range(kind.frames):
        length = kind.frame_bytes(data[at : at + HEADER_BYTES])
        if not length:
            return False
        at += length
    return True


def _is_run(kind: FrameKind, data: bytes, at: int, frames: int, *, all_here: bool = False) -> bool:
    """Whether so many frames of one stream start at this offset. Without `all_here`, the data may end before."""
    if not kind.frame_bytes(data[at : at + HEADER_BYTES]):
        return False
    common = _common(kind, data[at : at + len(kind.same)])
    for number in range(frames):
        header = data[at : at + HEADER_BYTES]
        if number and len(header) < 8 and not all_here:
            return True
        length = kind.frame_bytes(header)
        if not length or _common(kind, header) != common:
            return False
        at += length
    return True


def _common(kind: FrameKind, header: bytes) -> bytes:
    return bytes(byte & mask for byte, mask in zip(header, kind.same, strict=False))
