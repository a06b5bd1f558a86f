"""How long things took, from the audit. Pure."""

import datetime as dt
from collections.abc import Iterable, Sequence
from uuid import UUID

from shared.schemas.states import TaskState
from tests.chaos.facts import Change


def recoveries_s(changes: Sequence[Change], who: str, at: float) -> list[float]:
    """For each task that a life held when it ended: the time until somebody claimed it again, or it was over."""
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return [(_next(changes, task, moment) - moment).total_seconds() for task in held_by(changes, who, moment)]


def held_by(changes: Sequence[Change], who: str, moment: dt.datetime) -> set[UUID]:
    """The tasks that were running under a life's lease at a moment."""
    held: set[UUID] = set()
    for change in changes:
        if change.relation != "tasks" or change.at > moment:
            continue
        if change.state == TaskState.RUNNING:
            (held.add if change.who == who else held.discard)(change.id)
        else:
            held.discard(change.id)
    return held


def dispatched_at(changes: Sequence[Change], moment: dt.datetime) -> set[UUID]:
    """The tasks that waited for a worker at a moment."""
    last = {change.id: change.state for change in changes if change.relation == "tasks" and change.at <= moment}
    return {task for task, state in last.items() if state == TaskState.DISPATCHED}


def redispatches_s(changes: Sequence[Change], at: float) -> list[float]:
    """For each task that waited for a worker at a moment: the time until it was claimed or dispatched anew."""
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    waiting = dispatched_at(changes, moment)
    following: dict[UUID, dt.datetime] = {}
    for change in changes:
        if change.id in waiting and change.at > moment:
            following.setdefault(change.id, change.at)
    return [(following.get(task, dt.datetime.now(dt.UTC)) - moment).total_seconds() for task in waiting]


def percentile(values: Iterable[float], share: float) -> float:
    """0 of nothing."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else 0.0


def _next(changes: Sequence[Change], task: UUID, moment: dt.datetime) -> dt.datetime:
    over = (TaskState.RUNNING, TaskState.DONE, TaskState.DEAD, TaskState.CANCELLED)
    later = (c.at for c in changes if c.id == task and c.at > moment and c.state in over and c.state != c.old_state)
    return next(later, dt.datetime.now(dt.UTC))
