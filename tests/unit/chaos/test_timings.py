"""Durations computed from the audit."""

import datetime as dt

import msgspec

from shared.schemas.states import TaskState
from tests.tools.chaos.facts import Change
from tests.tools.chaos.healthy_world import JOB, NOON, OTHER_WORKER, TASK, WORKER, birth, claimed, moved
from tests.tools.chaos.timings import percentile, recoveries_s, redispatches_s


def after(change: Change, seconds: float) -> Change:
    return msgspec.structs.replace(change, at=NOON + dt.timedelta(seconds=seconds))


CLAIMED = (birth(JOB, TASK)[1], after(claimed(TASK, JOB, WORKER), 1))
RESCUED = after(moved(TASK, JOB, TaskState.RUNNING, TaskState.DISPATCHED, who=OTHER_WORKER), 5)
CLAIMED_AGAIN = after(claimed(TASK, JOB, OTHER_WORKER, token=2), 6)


def test_recovery_lasts_from_the_kill_to_the_next_claim() -> None:
    killed_at = NOON.timestamp() + 2
    assert recoveries_s((*CLAIMED, RESCUED, CLAIMED_AGAIN), WORKER, killed_at) == [4.0]
    assert recoveries_s((*CLAIMED, RESCUED, CLAIMED_AGAIN), OTHER_WORKER, killed_at) == []


def test_a_task_without_a_second_claim_has_not_recovered() -> None:
    killed_at = dt.datetime.now(dt.UTC).timestamp() - 100
    assert recoveries_s(CLAIMED, WORKER, killed_at)[0] >= 100


def test_a_task_done_before_the_kill_was_not_held() -> None:
    done = after(moved(TASK, JOB, TaskState.RUNNING, TaskState.DONE), 2)
    assert recoveries_s((*CLAIMED, done), WORKER, NOON.timestamp() + 3) == []


def test_redispatch_lasts_until_the_next_change_of_a_waiting_task() -> None:
    assert redispatches_s((*CLAIMED, RESCUED), NOON.timestamp() + 0.5) == [0.5]
    assert redispatches_s((*CLAIMED, RESCUED), NOON.timestamp() + 3) == []


def test_percentiles_are_values_that_occurred() -> None:
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([3, 1, 2], 1.0) == 3
    assert percentile([], 0.5) == 0
