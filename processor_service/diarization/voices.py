"""The voices of a chunk, stored beside its transcript: pieces of speech with one embedding each."""

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


class Voices(msgspec.Struct, frozen=True, kw_only=True):
    """All pieces of a chunk in order of time: one per 1.5 s of speech, 400 bytes each."""

    pieces: tuple[VoicePiece, ...]
    embeddings: bytes  # consecutive float16 vectors, little-endian


def voices_of(pieces: list[VoicePiece], embeddings: list[npt.NDArray[np.float32]]) -> Voices:
    """The voices from pieces in any order and embeddings of any norm."""
    order = sorted(range(len(pieces)), key=lambda number: pieces[number].start)
    stored = b"".join(_unit(embeddings[number]).astype("<f2").tobytes() for number in order)
    return Voices(pieces=tuple(pieces[number] for number in order), embeddings=stored)


def embeddings_of(voices: Voices) -> Embeddings:
    """The embeddings as an array."""
    return np.frombuffer(voices.embeddings, "<f2").astype(np.float32).reshape(-1, EMBEDDING_SIZE)


def _unit(embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return embedding / max(float(np.linalg.norm(embedding)), 1e-6)
