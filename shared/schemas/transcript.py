"""The transcript, as a chunk produces it, as `transcript.json` stores it and the API returns it. Times in seconds."""

from enum import StrEnum
from typing import Annotated

import msgspec

from shared.schemas.summary import ActionItem, Chapter, SummaryUse


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
    LANGUAGE_UNSURE = "language_unsure"  # the language is less probable here than `language_confidence`
    TEXT_NOT_SPOKEN = "text_not_spoken"  # with `text`: these words were not heard; their times are interpolated
    SPEECH_NOT_IN_TEXT = "speech_not_in_text"  # with `text`: there is speech here that it does not have
    OTHER_TRACKS = "other_tracks"  # the file has several audio tracks; `track` chooses another
    TRAILING_DATA = "trailing_data"  # bytes behind the audio were not read
    DIARIZATION_UNAVAILABLE = "diarization_unavailable"  # requested, but not installed on this server
    KNOWN_SPEAKER_SKIPPED = "known_speaker_skipped"  # a known voice could not be compared; the message says why
    CHANNELS_MIXED = "channels_mixed"  # only in results of old versions
    WORD_TIMES_MISSING = "word_times_missing"  # requested, but the provider returned none
    SUMMARY_UNAVAILABLE = "summary_unavailable"  # requested, but no chat provider made it; the transcript is complete
    REDACTION_ROUGH = "redaction_rough"  # words to redact have no times: the audio of their whole segments is redacted


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
    language_probability: float | msgspec.UnsetType = msgspec.UNSET  # with `language_confidence`
    words: tuple[Word, ...] = ()


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A span in which one speaker talks; turns of several speakers may overlap."""

    speaker: str
    start: float
    end: float


class NamedSpeaker(msgspec.Struct, frozen=True, kw_only=True):
    """A speaker whom the options of the job name. `similarity` is that to the known voice, from -1 to 1.

    `similarity` is null if the options name the label.
    """

    label: str
    name: str
    similarity: float | None = None


class SpeakerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How much a speaker talks. Times are seconds; a speaker's own turns that overlap are one."""

    speaker: str
    talk_time: float
    share: float  # of the talk time of all speakers, 0 to 1
    turns: int
    longest_turn: float
    overlap: float  # of the talk time, while another speaker talks
    words: int | None  # null if the transcript has no words
    words_per_minute: float | None


class EngineUse(msgspec.Struct, frozen=True, kw_only=True):
    """The engine that transcribed a span; a remote engine has the name of its provider."""

    engine: str
    model: str
    start: float
    end: float


class LanguageCandidate(msgspec.Struct, frozen=True, kw_only=True):
    """A language that may be spoken, with the model's probability (0 to 1)."""

    language: str
    probability: float


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """The transcript of a chunk, or of a whole file: then `duration` reaches to the end of what was transcribed."""

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
    # Left out unless requested and made.
    summary: str | msgspec.UnsetType = msgspec.UNSET
    chapters: tuple[Chapter, ...] | msgspec.UnsetType = msgspec.UNSET
    action_items: tuple[ActionItem, ...] | msgspec.UnsetType = msgspec.UNSET
    summarized_by: SummaryUse | msgspec.UnsetType = msgspec.UNSET
    # Absent from transcripts without speakers, and from those of older versions.
    named_speakers: tuple[NamedSpeaker, ...] | msgspec.UnsetType = msgspec.UNSET
    speaker_statistics: tuple[SpeakerStatistics, ...] | msgspec.UnsetType = msgspec.UNSET
    # With `detect_language_only`, the likeliest first.
    language_candidates: tuple[LanguageCandidate, ...] | msgspec.UnsetType = msgspec.UNSET
