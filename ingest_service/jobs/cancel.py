"""Cancel a job: its row, its tasks and the webhook event, in one transaction.

A worker that runs one of the tasks notices at its next heartbeat and stops.
"""

from typing import Any

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.rows import NewTask, has_ended, insert_tasks, locked_job
from ingest_service.jobs.webhooks import delivery_input
from ingest_service.uploads.notify import DispatchNotifier
from shared.job_changes import CANCEL_TASKS, FORGET_HEADERS, INSERT_EVENT
from shared.queue.dispatch import Dispatch
from shared.schemas.options import has_source_headers
from shared.schemas.states import JobStatus, TaskKind
from shared.schemas.webhook_events import TARGETS, EventType, event_body, event_id, webhook_id
from shared.telemetry.logs import Log

log = Log(__name__)

CANCEL_JOB = f"""
    UPDATE jobs AS ended SET status = 'CANCELLED', completed_at = now()
    WHERE id = $1 AND status IN ('QUEUED', 'PROCESSING') RETURNING completed_at, ARRAY{TARGETS} AS targets
"""  # noqa: S608 - constants


async def cancel_job(database: Database, notifier: DispatchNotifier, tenant: str, job_id: str) -> None:
    """Cancel a job, unless it is CANCELLED. Raise RefusedError `job_ended`, `not_found`, `job_erased`."""
    async with locked_job(database, tenant, job_id) as (connection, job):
        if job["status"] == JobStatus.CANCELLED:
            return
        if has_ended(job):
            raise RefusedError(
                "job_ended", f"The job is {job['status']}. Only QUEUED and PROCESSING jobs can be cancelled."
            )
        dispatches = await cancel_locked(connection, job)
    notifier.notify_soon(*dispatches)
    notifier.job_changed(job["id"], tenant)


async def cancel_abandoned(database: Database, notifier: DispatchNotifier, tenant: str, job_id: str) -> None:
    """Cancel a job that nothing waits for, unless a request has just attached to it. Raise what `cancel_job` raises.

    Such a request waits for the job a moment after its commit; then it cancels the job itself when it leaves.
    """
    async with locked_job(database, tenant, job_id) as (connection, job):
        if has_ended(job) or job["was_attached_lately"]:
            return
        dispatches = await cancel_locked(connection, job)
    notifier.notify_soon(*dispatches)
    notifier.job_changed(job["id"], tenant)


async def cancel_locked(connection: Any, job: Any) -> tuple[Dispatch, ...]:
    """Cancel a locked job that has not ended. Return what to enqueue after the commit."""
    ended = await connection.fetchrow(CANCEL_JOB, job["id"])
    await connection.execute(CANCEL_TASKS, job["id"], job["generation"])
    if has_source_headers(job["options"]):
        await connection.execute(FORGET_HEADERS, [job["id"]])
    log.info("job_cancelled", job_id=job["id"])
    if not ended["targets"]:
        return ()
    event = event_id(job["id"], job["generation"], EventType.CANCELLED)
    body = event_body(job["id"], JobStatus.CANCELLED, ended_at=ended["completed_at"], metadata_json=job["metadata"])
    await connection.execute(INSERT_EVENT, event, job["id"], job["generation"], EventType.CANCELLED, body)
    deliveries = [
        NewTask(TaskKind.DELIVER, ordinal, input_json=delivery_input(webhook_id(event, target)))
        for ordinal, target in enumerate(ended["targets"])
    ]
    return await insert_tasks(connection, job, job["generation"], deliveries)
