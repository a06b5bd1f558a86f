"""The voices of a chunk, stored beside its transcript: pieces of speech with one embedding each."""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

EMBEDDING_SIZE = 192

Embeddings = npt.NDArray[np.float32]  # (pieces, EMBEDDING_SIZE), each of unit length


class VoicePiece(msgspec.Struct, frozen=True, array_like=True):
    """A span of one voice, in seconds of the source. Simultaneous pieces have the same start and end."""

    start: float
    end: float
    is_clear: bool  # a single voice, surely speech


class Pieces(msgspec.Struct, frozen=True, kw_only=True):
    """Pieces in order of time, 400 bytes each."""

    pieces: tuple[VoicePiece, ...] = ()
    embeddings: bytes = b""  # consecutive float16 vectors, little-endian


class Voices(Pieces, frozen=True, kw_only=True):
    """The voices of a chunk: pieces of up to 1.5 s, and the same speech again in fine pieces of up to 0.75 s."""

    fine: Pieces | None = None  # None: stored by an older version


def pieces_of(pieces: Sequence[VoicePiece], embeddings: Sequence[npt.NDArray[np.float32]]) -> Pieces:
    """Sort pieces by time and scale their embeddings to unit length."""
    order = sorted(range(len(pieces)), key=lambda number: pieces[number].start)
    stored = b"".join(_unit(embeddings[number]).astype("<f2").tobytes() for number in order)
    return Pieces(pieces=tuple(pieces[number] for number in order), embeddings=stored)


def embeddings_of(pieces: Pieces) -> Embeddings:
    """The embeddings as an array."""
    return np.frombuffer(pieces.embeddings, "<f2").astype(np.float32).reshape(-1, EMBEDDING_SIZE)


def _unit(embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return embedding / max(float(np.linalg.norm(embedding)), 1e-6)
