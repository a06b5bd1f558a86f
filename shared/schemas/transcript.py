"""The transcript, as a chunk produces it, as `transcript.json` stores it and the API returns it. Times in seconds."""

from enum import StrEnum
from typing import Annotated

import msgspec


class WarningCode(StrEnum):
    """Remarks on a result that is valid nevertheless."""

    NO_SPEECH = "no_speech"  # no speech was detected; the text is empty
    REPETITION = "repetition"  # the text repeats itself, a sign of a model's failure; it is kept
    SPEECH_NOT_TRANSCRIBED = "speech_not_transcribed"  # speech was detected here, but the model gave no text
    LOW_CONFIDENCE = "low_confidence"  # the model is not sure of these words; they are kept
    CLIPPED = "clipped"  # the recording level was too high
    QUIET = "quiet"  # the speech is very quiet
    CUT_OFF = "cut_off"  # the recording ends during speech
    LANGUAGE_IGNORED = "language_ignored"  # the model does not support the requested language or task
    PROMPT_SHORTENED = "prompt_shortened"  # the prompt was too long for the model; only its end was used
    DECODE_ERRORS = "decode_errors"  # damaged parts of the source were skipped
    AUDIO_MISSING = "audio_missing"  # the sound track has a gap; silence takes its place
    TIME_STAMPS_IGNORED = "time_stamps_ignored"  # the file's time stamps jump; later times may be wrong
    OTHER_TRACKS = "other_tracks"  # the file has several audio tracks; `track` chooses another
    TRAILING_DATA = "trailing_data"  # bytes behind the audio were not read
    DIARIZATION_UNAVAILABLE = "diarization_unavailable"  # requested, but not installed on this server
    CHANNELS_MIXED = "channels_mixed"  # only in results of old versions
    WORD_TIMES_MISSING = "word_times_missing"  # requested, but the provider returned none


# Not the enum: readers must accept codes of newer versions.
AnyWarningCode = Annotated[str, msgspec.Meta(description=f"{', '.join(WarningCode)}; more may come.")]


class ResultWarning(msgspec.Struct, frozen=True, kw_only=True):
    """A coded remark on a result, with its span if it has one."""

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
    """About one sentence of speech; `confidence` is the geometric mean of its tokens' probabilities (0 to 1)."""

    id: int
    start: float
    end: float
    text: str
    speaker: str | None = None
    channel: int | None = None
    confidence: float
    no_speech_prob: float
    language: str | None = None  # None if the engine or its version does not report it
    words: tuple[Word, ...] = ()


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A span in which one speaker talks; turns of several speakers may overlap."""

    speaker: str
    start: float
    end: float


class EngineUse(msgspec.Struct, frozen=True, kw_only=True):
    """The engine that transcribed a span; a remote engine has the name of its provider."""

    engine: str
    model: str
    start: float
    end: float


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """The transcript of a chunk or of a whole file; `duration` is that of the audio."""

    text: str
    language: str | None
    language_probability: float | None = None  # of a detected language
    duration: float
    segments: tuple[Segment, ...]
    speakers: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()  # with `diarize`
    warnings: tuple[ResultWarning, ...] = ()
    engine: str = ""
    model: str = ""
    engines: tuple[EngineUse, ...] = ()  # in order of time; neighbours differ
    transcribed_from: str = "original"
