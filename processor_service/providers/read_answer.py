"""Reads a provider's answer about one piece of audio, and believes little of it: text is kept, times are made to fit.

Times are seconds in the piece. Pure.
"""

import datetime as dt
import math
import re
from collections.abc import Iterable, Sequence

import msgspec

from processor_service.errors import PermanentError, TaskError, TransientError
from processor_service.outbound.http_errors import retry_after_s
from processor_service.providers.post_audio import Answer, NoAnswer, TooLong
from processor_service.providers.provider_settings import ProviderSettings
from processor_service.transcribers.transcriber import Span
from shared.schemas.failures import FailureCode

# Judges what came of a request to a provider: what kind of failure it is, if it is one. Pure decisions.
#
# Of what the provider says of the failure only a code is kept; its sentences may repeat the key or the audio's words.

TRANSIENT = frozenset({408, 429})
DENIED = frozenset({401, 402, 403})
CODE = re.compile(r"[a-z][a-z_]{2,40}")  # as in "model_not_found"; keys have digits


class _Error(msgspec.Struct):
    code: str | int | None = None
    type: str | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error


def failure_of_answer(
    answer: Answer | NoAnswer | TooLong, provider: ProviderSettings, *, now: dt.datetime
) -> TaskError | None:
    """Why there is no transcript; None: there should be one in the answer."""
    match answer:
        case NoAnswer(why):
            return TransientError(FailureCode.PROVIDER_UNAVAILABLE, f"The provider {provider.name} {why}.")
        case TooLong():
            return not_a_transcript(provider, "its answer is too long")
        case Answer(status=status) if 200 <= status < 300:
            return None
        case Answer():
            return _failure_of_status(answer, provider, now)


def not_a_transcript(provider: ProviderSettings, why: str) -> TransientError:
    """Garbage comes from what stands between more often than from the provider: another attempt may go better."""
    message = f"The provider {provider.name} answered with what is no transcript: {why}."
    return TransientError(FailureCode.PROVIDER_ANSWER, message)


def is_providers_trouble(error: TaskError) -> bool:
    """Whether it would befall other requests too; a refusal concerns the one that was made."""
    return error.code != FailureCode.PROVIDER_REFUSED


def _failure_of_status(answer: Answer, provider: ProviderSettings, now: dt.datetime) -> TaskError:
    said = _code_in(answer.body, provider)
    message = f"The provider {provider.name} answered {answer.status}{f' ({said})' if said else ''}."
    if answer.status in TRANSIENT or answer.status >= 500:
        wait_s = retry_after_s(answer.retry_after, now=now) if answer.retry_after else None
        return TransientError(FailureCode.PROVIDER_UNAVAILABLE, message, retry_after_s=wait_s)
    code = FailureCode.PROVIDER_DENIED if answer.status in DENIED else FailureCode.PROVIDER_REFUSED
    return PermanentError(code, message)


def _code_in(body: bytes, provider: ProviderSettings) -> str | None:
    try:
        error = msgspec.json.decode(body, type=_ErrorBody).error
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    said = error.code if isinstance(error.code, str) else error.type
    is_fit = said is not None and CODE.fullmatch(said) and said not in provider.key.reveal()
    return said if is_fit else None


STRAY_S = 30.0  # Whisper's windows reach so far beyond the audio; what is further off is in another unit


class NotATranscriptError(ValueError):
    """The answer is not what the API says; the message says of it what is wrong, and quotes nothing."""


class _Word(msgspec.Struct):
    word: str
    start: float
    end: float
    probability: float | None = None


class _Segment(msgspec.Struct):
    text: str
    start: float
    end: float
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    words: list[_Word] | None = None


class _Answer(msgspec.Struct):
    text: str
    language: str | None = None
    segments: list[_Segment] | None = None
    words: list[_Word] | None = None


class HeardWord(msgspec.Struct, frozen=True):
    """A word and when it was said."""

    text: str
    start_s: float
    end_s: float
    probability: float | None


class HeardSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of text; probabilities are None where the provider tells none."""

    text: str
    start_s: float
    end_s: float
    probability: float | None = None
    no_speech_probability: float | None = None


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider understood. Starts of words rise, and so do those of segments; all lie within the piece."""

    text: str
    language: str | None
    segments: tuple[HeardSegment, ...]
    words: tuple[HeardWord, ...]


def read_answer(body: bytes, *, duration_s: float) -> Heard:
    """The answer about a piece of that duration; raises NotATranscriptError."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise NotATranscriptError("it has not the form of one") from None  # the error may quote
    words = answer.words or [word for one in answer.segments or () for word in one.words or ()]
    return Heard(
        text=clean(answer.text),
        language=answer.language,
        segments=_segments(answer.segments or [], duration_s),
        words=_words(words, duration_s),
    )


def clean(text: str) -> str:
    """On one line, single spaces, nothing that does not print."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def _segments(segments: Sequence[_Segment], duration_s: float) -> tuple[HeardSegment, ...]:
    told = [one for one in segments if clean(one.text)]
    return tuple(
        HeardSegment(
            text=clean(one.text),
            start_s=start_s,
            end_s=end_s,
            probability=None if one.avg_logprob is None else math.exp(min(one.avg_logprob, 0.0)),
            no_speech_probability=_probability(one.no_speech_prob),
        )
        for one, (start_s, end_s) in zip(told, rising(((one.start, one.end) for one in told), duration_s), strict=True)
    )


def _words(words: Sequence[_Word], duration_s: float) -> tuple[HeardWord, ...]:
    told = [one for one in words if clean(one.word)]
    return tuple(
        HeardWord(clean(one.word), start_s, end_s, _probability(one.probability))
        for one, (start_s, end_s) in zip(told, rising(((one.start, one.end) for one in told), duration_s), strict=True)
    )


def rising(spans: Iterable[Span], duration_s: float) -> list[Span]:
    """The spans in their order, each within the audio and begun and ended no later than the next begins.

    Raises NotATranscriptError for times that are nowhere near the audio.
    """
    fitted: list[Span] = []
    for start_s, end_s in spans:
        if min(start_s, end_s) < -STRAY_S or max(start_s, end_s) > duration_s + STRAY_S:
            raise NotATranscriptError("its times are not those of the audio")
        begun_s = min(max(start_s, fitted[-1][0] if fitted else 0.0), duration_s)
        if fitted:
            fitted[-1] = (fitted[-1][0], min(fitted[-1][1], begun_s))
        fitted.append((begun_s, min(max(end_s, begun_s), duration_s)))
    return fitted


def _probability(said: float | None) -> float | None:
    return None if said is None else min(max(said, 0.0), 1.0)
