"""Compute durations from the audit, as pure functions."""

import datetime as dt
from collections.abc import Iterable, Sequence
from uuid import UUID

from shared.schemas.states import TaskState
from tests.tools.chaos.facts import Change


def recoveries_s(changes: Sequence[Change], who: str, at: float) -> list[float]:
    """Return, for each task that a process held when it ended, the seconds until the next claim or the task's end."""
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    return [(_next(changes, task, moment) - moment).total_seconds() for task in held_by(changes, who, moment)]


def held_by(changes: Sequence[Change], who: str, moment: dt.datetime) -> set[UUID]:
    """Return the tasks that ran under a process's lease at a time."""
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
    """Return the tasks that waited for a worker at a time."""
    last = {change.id: change.state for change in changes if change.relation == "tasks" and change.at <= moment}
    return {task for task, state in last.items() if state == TaskState.DISPATCHED}


def redispatches_s(changes: Sequence[Change], at: float) -> list[float]:
    """Return, for each task that waited for a worker at a time, the seconds until its next claim or dispatch."""
    moment = dt.datetime.fromtimestamp(at, dt.UTC)
    waiting = dispatched_at(changes, moment)
    following: dict[UUID, dt.datetime] = {}
    for change in changes:
        if change.id in waiting and change.at > moment:
            following.setdefault(change.id, change.at)
    return [(following.get(task, dt.datetime.now(dt.UTC)) - moment).total_seconds() for task in waiting]


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value at a share of the sorted values, 0 if there are none."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else 0.0


def _next(changes: Sequence[Change], task: UUID, moment: dt.datetime) -> dt.datetime:
    over = (TaskState.RUNNING, TaskState.DONE, TaskState.DEAD, TaskState.CANCELLED)
    later = (c.at for c in changes if c.id == task and c.at > moment and c.state in over and c.state != c.old_state)
    return next(later, dt.datetime.now(dt.UTC))
