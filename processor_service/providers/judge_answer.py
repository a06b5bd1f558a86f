"""Judges what came of a request to a provider: what kind of failure it is, if it is one. Pure decisions.

Of what the provider says of the failure only a code is kept; its sentences may repeat the key or the audio's words.
"""

import datetime as dt
import re

import msgspec

from processor_service.errors import PermanentError, TaskError, TransientError
from processor_service.outbound.retry_after import retry_after_s
from processor_service.providers.post_audio import Answer, NoAnswer, TooLong
from processor_service.providers.provider_settings import ProviderSettings
from shared.schemas.failures import FailureCode

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
