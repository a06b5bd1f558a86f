"""A full disk: tasks wait with a coded reason and keep their attempts; the processor claims only to probe."""

import errno
import json
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from processor_service.disks import Disks
from processor_service.errors import storage_full
from processor_service.tasks.leases import Leases
from processor_service.tasks.outcomes import Outcome, StorageFull
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import settle
from processor_service.telemetry.metrics import METRIC_REGISTRY, count_settled
from shared.blobs.blob_errors import BlobStoreFullError
from shared.disk_reserve import ReserveError
from shared.telemetry.expose_metrics import expose_metrics
from tests.service.processor.conftest import Claim, Submit, job_row, task_row

POLICY = RetryPolicy(waits_s=(1.0,), longest_retry_after_s=600)
MORE_THAN_ANY_DISK = 1 << 60
FULL: dict[str, Callable[[], Exception]] = {
    "the store": lambda: BlobStoreFullError("full"),
    "the reserve": ReserveError,
    "the disk": lambda: OSError(errno.ENOSPC, "No space left on device"),
    "the quota": lambda: OSError(errno.EDQUOT, "Disk quota exceeded"),
    "a child": storage_full,
}


WAITS = "headrace_processor_disk_waits_total"
POSTPONED = 'headrace_processor_attempts_total{kind="prepare",outcome="postponed"}'


def _shown(series: str) -> float:
    """The value of a series on `/metrics`."""
    lines = expose_metrics(METRIC_REGISTRY.families, METRIC_REGISTRY.numbers).splitlines()
    (value,) = [line.rpartition(" ")[2] for line in lines if line.rpartition(" ")[0] == series]
    return float(value)


@pytest.mark.parametrize("what", FULL)
async def test_a_full_disk_costs_no_attempt_however_long_it_lasts(
    what: str, database: asyncpg.Pool, submit: Submit, claim_task: Claim
) -> None:
    leases = Leases(database, lease_s=15)
    task_id = await submit()

    async def stage() -> Outcome:
        error = FULL[what]()
        raise error

    for _ in range(5):  # more than the policy has attempts
        task = await claim_task(task_id)
        outcome = await leases.hold(task, stage())
        assert isinstance(outcome, StorageFull)
        assert not (await settle(database, task, outcome, policy=POLICY)).has_dead_letter
        row = await task_row(database, task_id)
        assert (row["state"], row["attempts"], row["crashes"]) == ("waiting", 0, 0)
        assert json.loads(row["failure"])["code"] == "storage_full"
        await database.execute("UPDATE tasks SET state = 'dispatched', not_before = NULL WHERE id = $1", task_id)

    assert (await job_row(database, task.job_id))["status"] == "PROCESSING"


async def test_a_wait_for_disk_space_is_counted(database: asyncpg.Pool, submit: Submit, claim_task: Claim) -> None:
    task = await claim_task(await submit())
    waits, postponed = _shown(WAITS), _shown(POSTPONED)

    async def stage() -> Outcome:
        raise ReserveError

    outcome = await Leases(database, lease_s=15).hold(task, stage())
    count_settled(task.kind, outcome, has_dead_letter=False)

    assert (_shown(WAITS), _shown(POSTPONED)) == (waits + 1, postponed + 1)


async def test_a_processor_with_a_full_disk_claims_only_to_probe(tmp_path: Path) -> None:
    disks = Disks({"scratch": tmp_path, "storage": None}, MORE_THAN_ANY_DISK)
    assert disks.may_claim()  # not measured yet
    await disks.measure()

    assert disks.full == {"scratch"}
    assert _shown('headrace_processor_disk_full{disk="scratch"}') == 1
    assert _shown('headrace_processor_disk_free_bytes{disk="scratch"}') > 0
    assert [disks.may_claim() for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("min_free_bytes", [0, 1])
async def test_a_processor_with_room_claims_all_it_can(min_free_bytes: int, tmp_path: Path) -> None:
    disks = Disks({"scratch": tmp_path, "storage": tmp_path}, min_free_bytes)
    await disks.measure()

    assert not disks.full
    assert [disks.may_claim() for _ in range(3)] == [True, True, True]
    assert _shown('headrace_processor_disk_full{disk="storage"}') == 0
