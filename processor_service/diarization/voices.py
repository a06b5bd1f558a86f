"""What is heard in a chunk, as it is stored beside the chunk's transcript: pieces of one voice, and how each sounds."""

import msgspec
import numpy as np
import numpy.typing as npt

EMBEDDING_SIZE = 192

Embeddings = npt.NDArray[np.float32]  # (pieces, EMBEDDING_SIZE), each of unit length


class HeardPiece(msgspec.Struct, frozen=True, array_like=True):
    """A stretch of one voice, in seconds of the source. Two that are heard together begin and end together."""

    start: float
    end: float
    is_clear: bool  # one voice alone, and surely speech


class Voices(msgspec.Struct, frozen=True, kw_only=True):
    """All pieces of a chunk, in time order: about one a second and half of speech, 400 bytes each."""

    pieces: tuple[HeardPiece, ...]
    embeddings: bytes  # float16, little-endian, one after the other


def voices_of(pieces: list[HeardPiece], embeddings: list[npt.NDArray[np.float32]]) -> Voices:
    """Pieces in any order and their embeddings of any length."""
    order = sorted(range(len(pieces)), key=lambda number: pieces[number].start)
    stored = b"".join(_unit(embeddings[number]).astype("<f2").tobytes() for number in order)
    return Voices(pieces=tuple(pieces[number] for number in order), embeddings=stored)


def embeddings_of(voices: Voices) -> Embeddings:
    """The embeddings as an array."""
    return np.frombuffer(voices.embeddings, "<f2").astype(np.float32).reshape(-1, EMBEDDING_SIZE)


def _unit(embedding: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return embedding / max(float(np.linalg.norm(embedding)), 1e-6)
