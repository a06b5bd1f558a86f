"""The result of one request to a webhook endpoint, and what it means: only 2xx counts (Standard Webhooks 1.0)."""

import datetime as dt

import msgspec

from processor_service.outbound.http_errors import retry_after_s
from shared.schemas.failures import Failure, FailureCode

GONE = 410


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The endpoint sent a status and headers. The body may be incomplete."""

    status: int
    retry_after: str | None = None
    text: str = ""  # the start of the body


class NoAnswer(msgspec.Struct, frozen=True):
    """The endpoint sent no answer; `reason` continues "The webhook endpoint …"."""

    reason: str


class Blocked(msgspec.Struct, frozen=True):
    """Nothing was sent; `reason` continues "The webhook's URL is refused: …"."""

    reason: str


class Unsigned(msgspec.Struct, frozen=True):
    """Nothing was sent because no secret can sign it; `reason` is a sentence."""

    reason: str


Result = Answer | NoAnswer | Blocked | Unsigned


def failure_of_result(result: Result, *, now: dt.datetime) -> Failure | None:
    """Return why the event was not delivered and whether another attempt makes sense; None: it was delivered."""
    match result:
        case Answer():
            return _failure_of_answer(result, now)
        case NoAnswer(reason):
            return _refused(f"The webhook endpoint {reason}", transient=True)
        case Blocked(reason):
            return Failure(code=FailureCode.WEBHOOK_BLOCKED, message=f"The webhook's URL is refused: {reason}.")
        case Unsigned(reason):
            return _refused(reason, transient=False)


def _failure_of_answer(answer: Answer, now: dt.datetime) -> Failure | None:
    if 200 <= answer.status < 300:
        return None
    if answer.status == GONE:
        return _refused("The webhook endpoint is gone (410).", transient=False)
    wait_s = retry_after_s(answer.retry_after, now=now) if answer.retry_after else None
    return _refused(f"The webhook endpoint answered {answer.status}.", transient=True, wait_s=wait_s)


def _refused(message: str, *, transient: bool, wait_s: float | None = None) -> Failure:
    return Failure(code=FailureCode.WEBHOOK_REFUSED, message=message, transient=transient, retry_after_s=wait_s)
