"""Compare the speakers of a file with known voices. It would rather name no speaker than a wrong one.

A voice is the mean of the embeddings of clear pieces of speech, weighted by their lengths: piece by piece they vary
with what is said, together they describe who speaks.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from processor_service.diarization.cluster import find_speakers
from processor_service.diarization.voices import EMBEDDING_SIZE, Embeddings, Voices, embeddings_of

# Chosen on the files of docs/transcripts.md, "Speakers by name".
SAME_PERSON = 0.55  # the least cosine similarity of a speaker and a known voice
MARGIN = 0.05  # the least distance to the next known person
MIN_SAMPLE_S = 3.0  # clear speech of a known voice
MIN_SPEAKER_S = 2.0  # clear speech of a speaker in the file
MIN_PIECE_S = 0.5

Vector = npt.NDArray[np.float32]  # (EMBEDDING_SIZE,) of unit length


class KnownVoice(msgspec.Struct, frozen=True, kw_only=True):
    """A person's voice: a name, and the embedding of `encode_voice`. Several may have one name."""

    name: str
    embedding: bytes


class VoiceMatch(msgspec.Struct, frozen=True, kw_only=True):
    """A speaker who is a known person; `similarity` is the cosine."""

    label: str
    name: str
    similarity: float


class SpeakerVoice(NamedTuple):
    """The voice of a speaker, and the seconds of clear speech that it was made of."""

    vector: Vector
    speech_s: float


def sample_voice(chunks: Sequence[Voices]) -> SpeakerVoice | None:
    """The voice that speaks most in a sample; None: it has no clear speech."""
    pieces = [piece for chunk in chunks for piece in chunk.pieces]
    seconds = np.array([piece.end - piece.start for piece in pieces])
    clear = [number for number, piece in enumerate(pieces) if piece.is_clear and seconds[number] >= MIN_PIECE_S]
    if not clear:
        return None
    embeddings = np.concatenate([embeddings_of(chunk) for chunk in chunks])[clear]
    voices = voices_of_speakers(embeddings, seconds[clear], find_speakers(embeddings, seconds[clear]))
    return max(voices.values(), key=lambda voice: voice.speech_s)


def voices_of_speakers(
    embeddings: Embeddings, seconds: npt.NDArray[np.floating], speakers: Embeddings
) -> dict[int, SpeakerVoice]:
    """The voice of each speaker, by number, from the pieces that are most similar to that speaker."""
    nearest = (embeddings @ speakers.T).argmax(axis=1)
    return {
        number: _mean_voice(embeddings[nearest == number], seconds[nearest == number])
        for number in np.unique(nearest).tolist()
    }


def _mean_voice(embeddings: Embeddings, seconds: npt.NDArray[np.floating]) -> SpeakerVoice:
    total = (embeddings * seconds[:, None]).sum(axis=0)
    unit: Vector = (total / max(float(np.linalg.norm(total)), 1e-6)).astype(np.float32)
    return SpeakerVoice(unit, float(seconds.sum()))


def encode_voice(vector: Vector) -> bytes:
    """Return a voice as it is stored: float16, little-endian, 384 bytes."""
    return vector.astype("<f2").tobytes()


def decode_voice(embedding: bytes) -> Vector:
    """Return a voice that was stored."""
    return np.frombuffer(embedding, "<f2").astype(np.float32).reshape(EMBEDDING_SIZE)


def match_voices(speakers: Mapping[str, SpeakerVoice], known: Sequence[KnownVoice]) -> tuple[VoiceMatch, ...]:
    """The speakers, by label, who are known persons, one each. The most similar pair is first.

    A speaker who resembles two persons almost equally gets no name.
    """
    labels = [label for label, voice in speakers.items() if voice.speech_s >= MIN_SPEAKER_S]
    names = list(dict.fromkeys(one.name for one in known))
    if not labels or not names:
        return ()
    similarity = _similarity([speakers[label].vector for label in labels], known, names)
    margins = _margins(similarity)
    found = []
    while similarity.max(initial=-1.0) >= SAME_PERSON:
        row, column = divmod(int(similarity.argmax()), len(names))
        if margins[row] >= MARGIN:
            best = round(float(similarity[row, column]), 3)
            found.append(VoiceMatch(label=labels[row], name=names[column], similarity=best))
            similarity[:, column] = -1.0
        similarity[row] = -1.0
    return tuple(sorted(found, key=lambda match: match.label))


def _margins(similarity: Embeddings) -> Vector:
    """The distance of each speaker's most similar person to the next one."""
    ordered = np.sort(np.pad(similarity, ((0, 0), (1, 0)), constant_values=-1.0), axis=1)
    margins: Vector = ordered[:, -1] - ordered[:, -2]
    return margins


def _similarity(speakers: Sequence[Vector], known: Sequence[KnownVoice], names: Sequence[str]) -> Embeddings:
    """(speakers, names): the cosine of each speaker and each person; of several voices of a person, their mean."""
    numbers = {name: number for number, name in enumerate(names)}
    people = np.zeros((len(names), EMBEDDING_SIZE), np.float32)
    for one in known:
        people[numbers[one.name]] += decode_voice(one.embedding)
    people /= np.maximum(np.linalg.norm(people, axis=1, keepdims=True), 1e-6)
    similarity: Embeddings = np.stack(list(speakers)) @ people.T
    return similarity
