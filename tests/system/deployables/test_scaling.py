"""The ScaledObject for KEDA, and the backlog that its query counts with its role."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from deploy.local.postgres import Postgres
from shared.ids import new_id
from tests.support.deployables.fixtures import DATABASE
from tests.support.deployables.manifests import FOLDER, one, read
from tests.support.stack.launched import ROOT

FILE = read(FOLDER / "scaling/processor.yaml")
SCALED: dict[str, Any] = one(FILE, "ScaledObject", "headrace-processor")["spec"]
OF_GPU: dict[str, Any] = one(read(FOLDER / "scaling/queue.yaml"), "ScaledObject", "headrace-processor-gpu")["spec"]
PASSWORD = "for-this-test"  # noqa: S105 - of a role in a temporary database

INSERT_JOB = """
INSERT INTO jobs (id, options, container, source_bytes, source_sha256, status, duration_s, chunk_count, chunks_done)
VALUES ($1, '{}', 'wav', $2, 'ab', 'PROCESSING', $3, $4, $5)
"""
INSERT_TASK = """
INSERT INTO tasks (id, job_id, kind, ordinal, state, not_before)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
"""


class Backlog:
    def __init__(self, administrator: asyncpg.Connection, scaler: asyncpg.Connection) -> None:
        self._administrator = administrator
        self._scaler = scaler

    async def count(self, scaled: dict[str, Any] = SCALED) -> int:
        """Return the value of KEDA's query."""
        (trigger,) = scaled["triggers"]
        value = await self._scaler.fetchval(trigger["metadata"]["query"])
        assert isinstance(value, int)
        return value

    async def job(
        self, *, size: int | None = None, duration_s: float | None = None, chunks: tuple[int, int] = (0, 0)
    ) -> UUID:
        job_id = new_id()
        done, of = chunks
        await self._administrator.execute(INSERT_JOB, job_id, size, duration_s, of, done)
        return job_id

    async def task(
        self, job_id: UUID, *, kind: str = "prepare", ordinal: int = 0, state: str = "dispatched", due_in_s: float = 0
    ) -> None:
        await self._administrator.execute(INSERT_TASK, new_id(), job_id, kind, ordinal, state, due_in_s)

    async def sql(self, statement: str) -> None:
        await self._administrator.execute(statement)


@pytest_asyncio.fixture(scope="session")
async def scaler(
    administrator: asyncpg.Connection, migrated: str, postgres: Postgres
) -> AsyncIterator[asyncpg.Connection]:
    assert migrated
    await administrator.execute((ROOT / "deploy/kubernetes/scaler.sql").read_text())
    await administrator.execute(f"ALTER ROLE headrace_scaler PASSWORD '{PASSWORD}'")
    connection = await asyncpg.connect(
        host="127.0.0.1", port=postgres.port, user="headrace_scaler", password=PASSWORD, database=DATABASE
    )
    yield connection
    await connection.close()


@pytest_asyncio.fixture
async def backlog(administrator: asyncpg.Connection, scaler: asyncpg.Connection) -> AsyncIterator[Backlog]:
    await administrator.execute("DELETE FROM tasks; DELETE FROM jobs; DELETE FROM uploads")
    yield Backlog(administrator, scaler)
    await administrator.execute("DELETE FROM tasks; DELETE FROM jobs; DELETE FROM uploads")


async def test_without_work_the_backlog_is_zero_and_no_processor_runs(backlog: Backlog) -> None:
    done = await backlog.job(duration_s=500)
    await backlog.task(done, state="done")
    assert await backlog.count() == 0
    assert SCALED["minReplicaCount"] == 0
    assert SCALED["triggers"][0]["metadata"]["activationTargetQueryValue"] == "0"


@pytest.mark.parametrize(
    ("size", "duration_s", "expected"),
    [(1_600_000, None, 100), (1_600_000, 250.5, 251), (None, None, 600), (10, None, 1)],
    ids=["by bytes", "by duration", "a URL", "minimum"],
)
async def test_an_upload_counts_its_known_or_estimated_seconds(
    backlog: Backlog, size: int | None, duration_s: float | None, expected: int
) -> None:
    await backlog.task(await backlog.job(size=size, duration_s=duration_s))
    assert await backlog.count() == expected


async def test_a_long_file_counts_its_remaining_seconds_once(backlog: Backlog) -> None:
    job_id = await backlog.job(duration_s=6000, chunks=(4, 10))
    for ordinal in range(4, 10):
        await backlog.task(job_id, kind="chunk", ordinal=ordinal, state="running" if ordinal < 6 else "dispatched")
    assert await backlog.count() == 3600


async def test_the_end_of_a_long_file_keeps_a_processor(backlog: Backlog) -> None:
    await backlog.task(await backlog.job(duration_s=6000, chunks=(10, 10)), kind="finish")
    assert await backlog.count() == 1


async def test_a_retry_keeps_a_processor_shortly_before_it_is_due(backlog: Backlog) -> None:
    await backlog.task(await backlog.job(duration_s=60), state="waiting", due_in_s=40)
    await backlog.task(await backlog.job(duration_s=60), state="waiting", due_in_s=4000)
    assert await backlog.count() == 60


async def test_a_due_webhook_starts_a_processor(backlog: Backlog) -> None:
    job_id = await backlog.job(duration_s=60)
    await backlog.task(job_id, kind="deliver", state="waiting", due_in_s=3600)
    assert await backlog.count() == 0
    await backlog.sql("UPDATE tasks SET not_before = now()")
    assert await backlog.count() == 1


async def test_data_to_delete_starts_a_processor(backlog: Backlog) -> None:
    await backlog.job(duration_s=60)
    await backlog.sql("UPDATE jobs SET status = 'COMPLETED', erased_at = now()")
    await backlog.sql("INSERT INTO uploads (id, expires_at) VALUES (gen_random_uuid(), now() - interval '1 minute')")
    assert await backlog.count() == 2


async def test_the_processors_of_a_queue_scale_with_its_own_backlog(backlog: Backlog) -> None:
    assert await backlog.count(OF_GPU) == 0
    await backlog.task(await backlog.job(duration_s=60))
    assert await backlog.count(OF_GPU) == 0
    await backlog.sql("UPDATE jobs SET queue = 'gpu'")
    await backlog.task(await backlog.job(duration_s=500))
    assert await backlog.count(OF_GPU) == 60
    assert set(OF_GPU) <= set(SCALED)
    assert set(OF_GPU["triggers"][0]["metadata"]) == set(SCALED["triggers"][0]["metadata"])


async def test_the_role_may_read_the_backlog_but_no_client_data(scaler: asyncpg.Connection) -> None:
    for column in ("jobs.metadata", "jobs.webhook_secret", "jobs.filename", "tasks.input", "uploads.filename"):
        table = column.partition(".")[0]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await scaler.execute(f"SELECT {column} FROM {table}")  # noqa: S608 - constants
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await scaler.execute("DELETE FROM tasks")


def test_the_scaledobject_has_all_that_kedas_postgresql_scaler_needs() -> None:
    authentication = one(FILE, "TriggerAuthentication", "headrace-scaler")["spec"]["secretTargetRef"]
    (trigger,) = SCALED["triggers"]
    assert trigger["type"] == "postgresql"
    assert trigger["authenticationRef"] == {"name": "headrace-scaler"}
    assert {each["parameter"] for each in authentication} == {
        *("host", "port", "userName", "password", "dbName", "sslmode")
    }
    assert {each["name"] for each in authentication} == {"headrace-scaler"}
    assert set(trigger["metadata"]) == {"query", "targetQueryValue", "activationTargetQueryValue"}
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert set(SCALED) <= {
        *("scaleTargetRef", "pollingInterval", "cooldownPeriod", "minReplicaCount", "maxReplicaCount"),
        *("fallback", "advanced", "triggers"),
    }
