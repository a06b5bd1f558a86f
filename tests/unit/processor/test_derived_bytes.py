"""The budget of a job's derived bytes."""

import datetime as dt

import pytest

from processor_service.errors import AudioError
from processor_service.settings import ProcessorSettings
from processor_service.stages.derived_bytes import DerivedBytes, budget_bytes, stored_bytes
from shared.blobs.blob_facts import BlobFacts
from shared.schemas.failures import FailureCode
from shared.secret import Secret


def _settings(*, least_bytes: int = 1000) -> ProcessorSettings:
    return ProcessorSettings(
        database_url=Secret("postgres:"),
        redis_url=Secret("redis:"),
        storage_url="file:///blobs",
        transcriber="scripted",
        derived_ratio=10,
        derived_least_bytes=least_bytes,
        derived_most_bytes=50_000,
    )


@pytest.mark.parametrize(
    ("source", "budget"), [(0, 1000), (99, 1000), (101, 1010), (4999, 49_990), (5001, 50_000), (1 << 50, 50_000)]
)
def test_the_budget_is_a_multiple_of_the_source_within_its_bounds(source: int, budget: int) -> None:
    assert budget_bytes(_settings(), source) == budget


def test_the_absolute_limit_is_above_the_floor() -> None:
    with pytest.raises(ValueError, match="HEADRACE_DERIVED_LEAST_BYTES"):
        _settings(least_bytes=60_000)


def test_nothing_may_be_written_before_the_account_is_open() -> None:
    derived = DerivedBytes()

    assert derived.left_bytes == 0
    with pytest.raises(AudioError):
        derived.charge(1)


def test_what_the_job_has_spent_is_not_left() -> None:
    derived = DerivedBytes()
    derived.open(100, spent_bytes=60)
    derived.charge(40)

    with pytest.raises(AudioError) as failure:
        derived.charge(1)

    assert derived.left_bytes == 0
    assert failure.value.code is FailureCode.TOO_MUCH_AUDIO
    assert not failure.value.transient


def test_blobs_that_are_written_again_do_not_count_twice() -> None:
    now = dt.datetime.now(dt.UTC)
    blobs = [BlobFacts("a", now, 5), BlobFacts("b", now, 7), BlobFacts("c", now, 11)]

    assert stored_bytes(blobs, rewritten=["b", "z"]) == 16
