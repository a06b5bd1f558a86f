"""Renders a stored transcript as an answer of OpenAI's audio API, or of `/asr`. Pure.

The fields are those of the types in OpenAI's own libraries. Subtitles come from `shared.subtitles`.
"""

import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from shared.schemas.languages import NAMES
from shared.schemas.transcript import Segment, Transcript, Word

LEAST_CONFIDENCE = 1e-10  # its logarithm is -23; JSON has no number for that of 0
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag="answer"):
    """What an answer contains. `segments` and `words` are of verbose_json, `words` also of whisper_json, of `/asr`."""

    response_format: Literal["json", "text", "verbose_json", "diarized_json", "whisper_json"]
    task: Literal["transcribe", "translate"] = "transcribe"
    segments: bool = True
    words: bool = False
    languages: bool = False  # also name the detected languages, as gpt-transcribe does


class AudioUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The length of the audio, as in OpenAI's answers about whisper-1."""

    type: Literal["duration"]
    seconds: float


class SpokenLanguage(msgspec.Struct, frozen=True):
    """A language of the audio."""

    code: str


class Transcription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer `json`."""

    text: str
    usage: AudioUsage
    languages: tuple[SpokenLanguage, ...] | None = None


class VerboseSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment of `verbose_json`. `avg_logprob` is the logarithm of our confidence; `tokens` is empty."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class VerboseWord(msgspec.Struct, frozen=True, kw_only=True):
    """A word of `verbose_json`."""

    word: str
    start: float
    end: float


class TranscriptionVerbose(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer `verbose_json`. `language` is an English name in lower case."""

    task: Literal["transcribe", "translate"]
    language: str
    duration: float
    text: str
    usage: AudioUsage
    segments: tuple[VerboseSegment, ...] | None = None
    words: tuple[VerboseWord, ...] | None = None


class DiarizedSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment of `diarized_json`. Speakers are A, B, …, in the order in which they begin."""

    type: Literal["transcript.text.segment"]
    id: str
    start: float
    end: float
    speaker: str
    text: str


class TranscriptionDiarized(msgspec.Struct, frozen=True, kw_only=True):
    """The answer `diarized_json`."""

    task: Literal["transcribe", "translate"]
    duration: float
    text: str
    segments: tuple[DiarizedSegment, ...]
    usage: AudioUsage


def render_answer(stored: bytes, answer: Answer) -> bytes:
    """Render a stored transcript."""
    transcript = msgspec.json.decode(stored, type=Transcript)
    match answer.response_format:
        case "json":
            return msgspec.json.encode(plain_answer(transcript, languages=answer.languages))
        case "text":
            return f"{transcript.text.strip()}\n".encode()
        case "verbose_json":
            return msgspec.json.encode(verbose_answer(transcript, answer))
        case "diarized_json":
            return msgspec.json.encode(diarized_answer(transcript, answer.task))
        case "whisper_json":
            return msgspec.json.encode(whisper_answer(transcript, has_words=answer.words))


def plain_answer(transcript: Transcript, *, languages: bool = False) -> Transcription:
    """Return the text, and its languages if they are wanted."""
    codes = map(SpokenLanguage, spoken_languages(transcript)) if languages else None
    return Transcription(
        text=transcript.text.strip(), usage=usage(transcript), languages=None if codes is None else tuple(codes)
    )


def usage(transcript: Transcript) -> AudioUsage:
    """Return the length of the audio."""
    return AudioUsage(type="duration", seconds=round(transcript.duration, 3))


def spoken_languages(transcript: Transcript) -> list[str]:
    """Return the codes of the languages, first spoken first."""
    found = [segment.language for segment in transcript.segments if segment.language]
    return list(dict.fromkeys(found or ([transcript.language] if transcript.language else [])))


def verbose_answer(transcript: Transcript, answer: Answer) -> TranscriptionVerbose:
    """Return all that is known. The language of a translation is that of its text."""
    code = "en" if answer.task == "translate" else transcript.language or ""
    return TranscriptionVerbose(
        task=answer.task,
        language=NAMES.get(code, code),
        duration=round(transcript.duration, 3),
        text=transcript.text.strip(),
        usage=usage(transcript),
        segments=tuple(map(verbose_segment, transcript.segments)) if answer.segments else None,
        words=tuple(verbose_words(transcript.segments)) if answer.words else None,
    )


def verbose_segment(segment: Segment) -> VerboseSegment:
    """Return a segment. `avg_logprob` is exact: the confidence is the geometric mean of the tokens' probabilities."""
    return VerboseSegment(
        id=segment.id,
        seek=0,
        start=segment.start,
        end=segment.end,
        text=segment.text,
        tokens=(),
        temperature=0.0,
        avg_logprob=round(math.log(max(segment.confidence, LEAST_CONFIDENCE)), 6),
        compression_ratio=compression_ratio(segment.text),
        no_speech_prob=segment.no_speech_prob,
    )


def compression_ratio(text: str) -> float:
    """Return how much zlib shortens the text, as Whisper computes it; 0 without text."""
    data = text.encode()
    return round(len(data) / len(zlib.compress(data)), 6) if data else 0.0


def verbose_words(segments: Sequence[Segment]) -> Iterator[VerboseWord]:
    """Yield the words of all segments."""
    for segment in segments:
        for word in segment.words:
            yield VerboseWord(word=word.word.strip(), start=word.start, end=word.end)


def diarized_answer(transcript: Transcript, task: Literal["transcribe", "translate"]) -> TranscriptionDiarized:
    """Return the segments with their speakers."""
    return TranscriptionDiarized(
        task=task,
        duration=round(transcript.duration, 3),
        text=transcript.text.strip(),
        segments=tuple(diarized_segments(transcript.segments)),
        usage=usage(transcript),
    )


def diarized_segments(segments: Sequence[Segment]) -> Iterator[DiarizedSegment]:
    """Yield the segments with speakers A, B, …. One without a speaker gets the one before: the field is required."""
    names: dict[str, str] = {}
    speaker = letter_of(0)
    for segment in segments:
        if segment.speaker is not None:
            speaker = names.setdefault(segment.speaker, letter_of(len(names)))
        yield DiarizedSegment(
            type="transcript.text.segment",
            id=f"seg_{segment.id:03}",
            start=segment.start,
            end=segment.end,
            speaker=speaker,
            text=segment.text,
        )


def whisper_answer(transcript: Transcript, *, has_words: bool) -> dict[str, Any]:
    """Return the JSON that whisper's command writes, with the speakers if they are known."""
    segments = [whisper_segment(segment, has_words=has_words) for segment in transcript.segments]
    return {"text": transcript.text, "segments": segments, "language": transcript.language}


def whisper_segment(segment: Segment, *, has_words: bool) -> dict[str, Any]:
    """Return a segment. With `has_words`, it has words, if their times are known."""
    body: dict[str, Any] = msgspec.structs.asdict(verbose_segment(segment))
    if segment.speaker:
        body["speaker"] = segment.speaker
    if has_words:
        body["words"] = [whisper_word(word) for word in segment.words]
    return body


def whisper_word(word: Word) -> dict[str, Any]:
    """Return a word. Whisper's field for our confidence is `probability`."""
    body = {"word": word.word, "start": word.start, "end": word.end, "probability": word.confidence}
    return body | {"speaker": word.speaker} if word.speaker else body


def letter_of(number: int) -> str:
    """Return A for 0, Z for 25, AA for 26."""
    before, last = divmod(number, len(LETTERS))
    return (letter_of(before - 1) if before else "") + LETTERS[last]
