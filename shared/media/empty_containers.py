"""Tells containers that surely hold no audio: a header without samples, a film without sound. A pure function.

Where all of a file is at hand, what it lacks can be told; of a longer one only what its header says of itself.
"""

from typing import Literal

MATROSKA_SEGMENT, MATROSKA_CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"  # the latter holds frames
MOVIE, SOUND, COMPRESSED = b"moov", b"soun", b"cmov"  # ISO base media: header, track's kind, header that hides tracks
PCM = 1


def is_empty(container: str, head: bytes, *, whole: bool) -> bool:
    """Whether a file of this container surely has nothing to hear; `head` is its first bytes, or the whole of it.

    What is merely damaged is for a decoder to judge.
    """
    if container == "wav":
        return _is_empty_wav(head, whole=whole)
    if not whole:
        return False
    if container in {"webm", "mkv"}:
        return MATROSKA_SEGMENT in head and MATROSKA_CLUSTER not in head
    if container in {"mp4", "m4a", "mov", "3gp"}:
        return MOVIE in head and SOUND not in head and COMPRESSED not in head
    return False


def _is_empty_wav(head: bytes, *, whole: bool) -> bool:
    """RIFF chunks, one after the other: what `fmt ` says of the samples, and whether `data` has one."""
    order: Literal["big", "little"] = "big" if head.startswith(b"RIFX") else "little"
    at, described = 12, False
    while at + 8 <= len(head):
        kind, size_bytes = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], order)
        content = head[at + 8 : at + 24]
        if kind == b"data":
            return whole and not content  # whatever its size says: recorders that were cut off say 0
        if kind == b"fmt " and len(content) == 16:
            coding, channels, bits = (int.from_bytes(content[of : of + 2], order) for of in (0, 2, 14))
            if channels == 0 or (coding == PCM and bits == 0):
                return True
            described = True
        at += 8 + size_bytes + size_bytes % 2
    return whole and described
