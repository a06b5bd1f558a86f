"""Counts an attempt that ended, by what was committed of it."""

from processor_service.tasks.outcomes import Crashed, Failed, Interrupted, LeaseLost, NotDelivered, Outcome, Postponed
from processor_service.telemetry.metrics import ATTEMPTS, DEAD_LETTERS, FAILURES
from processor_service.telemetry.traces import note_outcome
from shared.schemas.states import TaskKind

LEASE_LOST, UNSETTLED = "lease_lost", "unsettled"


def outcome_label(outcome: Outcome) -> str:
    """One of the words by which outcomes are counted."""
    match outcome:
        case NotDelivered() | Failed():
            return "failed"
        case Crashed():
            return "crashed"
        case Interrupted():
            return "interrupted"
        case Postponed():
            return "postponed"
        case LeaseLost():
            return LEASE_LOST
        case _:
            return "done"


def count_settled(kind: TaskKind, outcome: Outcome, *, has_dead_letter: bool) -> None:
    """The outcome is in the record."""
    ATTEMPTS[kind, outcome_label(outcome)].inc()
    note_outcome(outcome_label(outcome))
    if isinstance(outcome, NotDelivered | Failed):
        FAILURES[outcome.failure.code].inc()
    if has_dead_letter:
        DEAD_LETTERS[kind].inc()


def count_lost(kind: TaskKind, why: str) -> None:
    """It is not: the lease was lost, or the database away when the attempt ended (`unsettled`)."""
    ATTEMPTS[kind, why].inc()
    note_outcome(why)
