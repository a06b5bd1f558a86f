"""Each of several Redis has all samples, except those of the time when it was unavailable."""

from ingest_service.alerts.reader import most_samples
from shared.telemetry.day_history import merge_minutes


def test_a_minute_that_one_redis_lacks_is_that_of_another() -> None:
    complete = {1: {"uploads": 3.0, "any": 1.0}, 2: {"uploads": 4.0, "any": 1.0}}
    with_gap = {2: {"uploads": 1.0, "oldest_task_s": 7.0, "any": 1.0}, 3: {"any": 1.0}}
    assert merge_minutes([complete, with_gap]) == {
        1: {"uploads": 3.0, "any": 1.0},
        2: {"uploads": 4.0, "oldest_task_s": 7.0, "any": 1.0},
        3: {"any": 1.0},
    }
    assert merge_minutes([]) == {}


def test_alerts_are_evaluated_over_the_samples_of_the_redis_that_has_most() -> None:
    lost_some, complete = {"ingest|a": [b"3"]}, {"ingest|a": [b"1", b"2", b"3"], "processor|b": [b"3"]}
    assert most_samples([(10.0, lost_some), (11.0, complete)]) == (11.0, complete)
