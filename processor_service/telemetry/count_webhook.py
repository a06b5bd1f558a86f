"""Counts an attempt to deliver a webhook."""

from processor_service.telemetry.metrics import WEBHOOK_ATTEMPTS, WEBHOOK_LAG, WEBHOOK_SECONDS
from processor_service.webhooks.results import Answer, Blocked, NoAnswer, Result, Unsigned
from shared.schemas.failures import Failure


def count_webhook(result: Result, failure: Failure | None, took_s: float, *, lag_s: float) -> None:
    """`lag_s` is how long ago it was ordered; it counts for a delivery only. What was not sent took no time."""
    WEBHOOK_ATTEMPTS[_label(result, failure)].inc()
    if isinstance(result, Answer | NoAnswer):
        WEBHOOK_SECONDS.observe(took_s)
    if failure is None:
        WEBHOOK_LAG.observe(max(0.0, lag_s))


def _label(result: Result, failure: Failure | None) -> str:
    match result:
        case Answer():
            return "refused" if failure else "delivered"
        case NoAnswer():
            return "no_answer"
        case Blocked():
            return "blocked"
        case Unsigned():
            return "unsigned"
