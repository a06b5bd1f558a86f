"""The keys of blobs: complete, and read back from both layouts."""

import inspect
from collections import Counter
from collections.abc import Callable
from uuid import UUID

import pytest

from shared.blobs import blob_keys
from shared.ids import PLAIN, SPREADING, new_id

NOT_ONE_KEY = {"job", "derived", "chunks", "all_of_job", "audio_of_job"}
OF_LISTED_JOBS = {
    "original_transcript",
    "redacted_audio",
    "summary_progress",
}  # of jobs that are listed
versions = pytest.mark.parametrize("version", [PLAIN, SPREADING])


def _keys_of_jobs() -> list[Callable[..., str]]:
    """Return the module's functions whose first argument is a job's id, and that return one blob's key."""
    functions = [each for name, each in inspect.getmembers(blob_keys, inspect.isfunction) if name not in NOT_ONE_KEY]
    return [each for each in functions if next(iter(inspect.signature(each).parameters)) == "job_id"]


@versions
def test_all_keys_of_a_job_are_listed(version: int) -> None:
    job_id = new_id(version)
    functions = [each for each in _keys_of_jobs() if each.__name__ not in OF_LISTED_JOBS]
    assert len(functions) > 8
    assert set(blob_keys.all_of_job(job_id, chunks=2)) == {
        key for function in functions for key in _keys_by(function, job_id)
    }


def _keys_by(function: Callable[..., str], job_id: UUID) -> list[str]:
    parameters = inspect.signature(function).parameters
    generation = [1] if "generation" in parameters else []
    return [function(job_id, *generation, *ordinal) for ordinal in ([[0], [1]] if "ordinal" in parameters else [[]])]


@versions
def test_a_job_is_read_from_each_of_its_keys(version: int) -> None:
    job_id = new_id(version)
    for key in blob_keys.all_of_job(job_id, chunks=2):
        assert blob_keys.job_of(key) == job_id
        assert blob_keys.chunk_generation_of(key) == (1 if "/chunks/" in key else None)
        assert blob_keys.upload_part_of(key) is None


@versions
def test_a_part_is_read_from_its_key(version: int) -> None:
    upload_id = new_id(version)
    assert blob_keys.upload_part_of(blob_keys.upload_part(upload_id, 5, 3)) == (upload_id, 5, 3)
    assert blob_keys.job_of(blob_keys.upload_part(upload_id, 5, 3)) is None


@pytest.mark.parametrize(
    "key", ["", "jobs", "jobs/", "jobs/x/source", "jobs/3f/x", "jobs/3f", "jobs/3f/_source", "uploads/x/1-y", "other/x"]
)
def test_strange_keys_are_not_ours(key: str) -> None:
    assert blob_keys.job_of(key) is None
    assert blob_keys.upload_part_of(key) is None


def test_spreading_keys_begin_evenly() -> None:
    keys = [blob_keys.source(new_id(SPREADING)) for _ in range(5000)]
    counts = Counter(key.split("/")[1] for key in keys)
    assert len(counts) == 256
    assert max(counts.values()) < 60  # 20 on average


def test_no_key_of_a_plain_id_is_a_key_of_a_spreading_one() -> None:
    plain, spreading = new_id(PLAIN), new_id(SPREADING)
    assert blob_keys.source(plain) == f"jobs/{plain}/source"
    assert blob_keys.source(spreading) == f"jobs/{str(spreading)[-2:]}/{spreading}_source"
