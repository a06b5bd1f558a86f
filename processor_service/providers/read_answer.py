"""Read a provider's answer for one piece of audio. The text is kept; times are validated and corrected.

Times are seconds in the piece. Only the code of an error answer is kept: its text may repeat the key or the audio.
"""

import datetime as dt
import math
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from processor_service.errors import PermanentError, TaskError, TransientError
from processor_service.outbound.http_errors import retry_after_s
from processor_service.providers.post_audio import Answer, NoAnswer, TooLong
from processor_service.transcribers.transcriber import Span
from shared.schemas.failures import FailureCode
from shared.secret import Secret

TRANSIENT = frozenset({408, 429})
DENIED = frozenset({401, 402, 403})
CODE = re.compile(r"[a-z][a-z_]{2,40}")  # as in "model_not_found"; keys have digits


class _Error(msgspec.Struct):
    code: str | int | None = None
    type: str | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error


class Provider(Protocol):
    """What errors need of a provider's settings."""

    @property
    def name(self) -> str: ...

    @property
    def key(self) -> Secret: ...


def failure_of_answer(
    answer: Answer | NoAnswer | TooLong, provider: Provider, *, now: dt.datetime, wanted: str = "transcript"
) -> TaskError | None:
    """The error of a request; None for a successful answer."""
    match answer:
        case NoAnswer(reason):
            return TransientError(FailureCode.PROVIDER_UNAVAILABLE, f"The provider {provider.name} {reason}.")
        case TooLong():
            return invalid_answer(provider, "the answer is too long", wanted=wanted)
        case Answer(status=status) if 200 <= status < 300:
            return None
        case Answer():
            return _failure_of_status(answer, provider, now)


def invalid_answer(provider: Provider, reason: str, *, wanted: str = "transcript") -> TransientError:
    """The error of an answer without what was wanted. Transient: most such answers come from proxies in between."""
    message = f"The provider {provider.name} sent no valid {wanted}: {reason}."
    return TransientError(FailureCode.PROVIDER_ANSWER, message)


def counts_against_provider(error: TaskError) -> bool:
    """Whether an error is likely for other requests, too. A refusal concerns one request."""
    return error.code != FailureCode.PROVIDER_REFUSED


def _failure_of_status(answer: Answer, provider: Provider, now: dt.datetime) -> TaskError:
    code_text = _code_in(answer.body, provider)
    message = f"The provider {provider.name} answered {answer.status}{f' ({code_text})' if code_text else ''}."
    if answer.status in TRANSIENT or answer.status >= 500:
        wait_s = retry_after_s(answer.retry_after, now=now) if answer.retry_after else None
        return TransientError(FailureCode.PROVIDER_UNAVAILABLE, message, retry_after_s=wait_s)
    code = FailureCode.PROVIDER_DENIED if answer.status in DENIED else FailureCode.PROVIDER_REFUSED
    return PermanentError(code, message)


def _code_in(body: bytes, provider: Provider) -> str | None:
    try:
        error = msgspec.json.decode(body, type=_ErrorBody).error
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    code = error.code if isinstance(error.code, str) else error.type
    is_valid = code is not None and CODE.fullmatch(code) and code not in provider.key.reveal()
    return code if is_valid else None


STRAY_S = 30.0  # Whisper's windows reach this far beyond the audio; times further off have another unit


class InvalidAnswerError(ValueError):
    """The answer does not follow the API. The message quotes nothing of it."""


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


class ProviderWord(msgspec.Struct, frozen=True):
    """A word with its times."""

    text: str
    start_s: float
    end_s: float
    probability: float | None


class ProviderSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment of text. Probabilities are None where the provider sends none."""

    text: str
    start_s: float
    end_s: float
    probability: float | None = None
    no_speech_probability: float | None = None


class ProviderTranscript(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's transcript. Words and segments are in order of their starts, within the piece."""

    text: str
    language: str | None
    segments: tuple[ProviderSegment, ...]
    words: tuple[ProviderWord, ...]


def read_answer(body: bytes, *, duration_s: float) -> ProviderTranscript:
    """Return the transcript of a piece of that duration. Raise InvalidAnswerError."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise InvalidAnswerError("the answer has the wrong form") from None  # the cause may quote it
    words = answer.words or [word for one in answer.segments or () for word in one.words or ()]
    return ProviderTranscript(
        text=clean(answer.text),
        language=answer.language,
        segments=_segments(answer.segments or [], duration_s),
        words=_words(words, duration_s),
    )


def clean(text: str) -> str:
    """The text on one line, with single spaces, without unprintable characters and those that stand for lost bytes."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text.replace("\ufffd", "")).split())


def _segments(segments: Sequence[_Segment], duration_s: float) -> tuple[ProviderSegment, ...]:
    spoken = [one for one in segments if clean(one.text)]
    return tuple(
        ProviderSegment(
            text=clean(one.text),
            start_s=start_s,
            end_s=end_s,
            probability=None if one.avg_logprob is None else math.exp(min(one.avg_logprob, 0.0)),
            no_speech_probability=_probability(one.no_speech_prob),
        )
        for one, (start_s, end_s) in zip(
            spoken, in_order(((one.start, one.end) for one in spoken), duration_s), strict=True
        )
    )


def _words(words: Sequence[_Word], duration_s: float) -> tuple[ProviderWord, ...]:
    spoken = [one for one in words if clean(one.word)]
    return tuple(
        ProviderWord(clean(one.word), start_s, end_s, _probability(one.probability))
        for one, (start_s, end_s) in zip(
            spoken, in_order(((one.start, one.end) for one in spoken), duration_s), strict=True
        )
    )


def in_order(spans: Iterable[Span], duration_s: float) -> list[Span]:
    """The spans in their order, moved into the audio and shortened so that each ends before the next begins.

    Raise InvalidAnswerError for times far outside the audio.
    """
    fitted: list[Span] = []
    for start_s, end_s in spans:
        if min(start_s, end_s) < -STRAY_S or max(start_s, end_s) > duration_s + STRAY_S:
            raise InvalidAnswerError("its times are outside the audio")
        began_s = min(max(start_s, fitted[-1][0] if fitted else 0.0), duration_s)
        if fitted:
            fitted[-1] = (fitted[-1][0], min(fitted[-1][1], began_s))
        fitted.append((began_s, min(max(end_s, began_s), duration_s)))
    return fitted


def _probability(value: float | None) -> float | None:
    return None if value is None else min(max(value, 0.0), 1.0)
