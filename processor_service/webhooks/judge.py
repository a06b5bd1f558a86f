"""Judges what came of a delivery attempt by Standard Webhooks 1.0: only 2xx counts. A pure decision."""

import datetime as dt

from processor_service.outbound.http_errors import retry_after_s
from processor_service.webhooks.results import Answer, Blocked, NoAnswer, Result, Unsigned
from shared.schemas.failures import Failure, FailureCode

GONE = 410


def judge(result: Result, *, now: dt.datetime) -> Failure | None:
    """Why the event was not delivered, and whether another attempt makes sense; None: it was delivered."""
    match result:
        case Answer():
            return _judge_answer(result, now)
        case NoAnswer(why):
            return _refused(f"The webhook endpoint {why}", transient=True)
        case Blocked(why):
            return Failure(code=FailureCode.WEBHOOK_BLOCKED, message=f"The webhook's URL is refused: {why}.")
        case Unsigned(why):
            return _refused(why, transient=False)


def _judge_answer(answer: Answer, now: dt.datetime) -> Failure | None:
    if 200 <= answer.status < 300:
        return None
    if answer.status == GONE:
        return _refused("The webhook endpoint is gone (410).", transient=False)
    wait_s = retry_after_s(answer.retry_after, now=now) if answer.retry_after else None
    return _refused(f"The webhook endpoint answered {answer.status}.", transient=True, wait_s=wait_s)


def _refused(message: str, *, transient: bool, wait_s: float | None = None) -> Failure:
    return Failure(code=FailureCode.WEBHOOK_REFUSED, message=message, transient=transient, retry_after_s=wait_s)
