"""The transcript, as a chunk yields it, as `transcript.json` stores it and as the API returns it. Times in seconds."""

from enum import StrEnum
from typing import Annotated

import msgspec


class WarningCode(StrEnum):
    """What the client should know about a result that is still a result."""

    NO_SPEECH = "no_speech"  # no speech was found; the text is empty
    REPETITION = "repetition"  # the text repeats itself, as a model does that is at a loss; it is kept
    LOW_CONFIDENCE = "low_confidence"  # the model was not sure of these words; they are kept
    CLIPPED = "clipped"  # the recording was too loud for what recorded it
    QUIET = "quiet"  # the speech is very quiet
    CUT_OFF = "cut_off"  # the recording ends while somebody speaks
    LANGUAGE_IGNORED = "language_ignored"  # the model knows English only
    DECODE_ERRORS = "decode_errors"  # damaged stretches of the source were skipped
    DIARIZATION_UNAVAILABLE = "diarization_unavailable"  # asked for, not installed here
    CHANNELS_MIXED = "channels_mixed"  # of jobs before channels could be told apart; no longer given
    WORD_TIMES_MISSING = "word_times_missing"  # asked for, but a remote engine told none


# Not the enum: whoever reads a result of a newer version must live with codes of which it does not know.
AnyWarningCode = Annotated[str, msgspec.Meta(description=f"{', '.join(WarningCode)}; more may come.")]


class ResultWarning(msgspec.Struct, frozen=True, kw_only=True):
    """A coded remark on a result, with the span it concerns where there is one."""

    code: AnyWarningCode
    message: str
    start: float | None = None
    end: float | None = None


class Word(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One spoken word; `confidence` is the model's probability of it (0 to 1)."""

    word: str
    start: float
    end: float
    confidence: float
    speaker: str | None = None


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of speech; `confidence` is the geometric mean of its tokens' probabilities (0 to 1)."""

    id: int
    start: float
    end: float
    text: str
    speaker: str | None = None
    channel: int | None = None
    confidence: float
    no_speech_prob: float
    words: tuple[Word, ...] = ()


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One speaker speaks from start to end; turns of several may overlap."""

    speaker: str
    start: float
    end: float


class EngineUse(msgspec.Struct, frozen=True, kw_only=True):
    """Who transcribed the stretch from start to end; a remote engine has the name of its provider."""

    engine: str
    model: str
    start: float
    end: float


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """The transcript of a chunk or of a whole file; `duration` is that of the audio."""

    text: str
    language: str | None
    language_probability: float | None = None  # of the language, where it was detected
    duration: float
    segments: tuple[Segment, ...]
    speakers: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()  # who spoke when, where somebody asked
    warnings: tuple[ResultWarning, ...] = ()
    engine: str = ""
    model: str = ""
    engines: tuple[EngineUse, ...] = ()  # in order; neighbours differ
    transcribed_from: str = "original"
