"""A job's webhook: list the delivery attempts, and deliver an event again."""

from typing import Any

import msgspec

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.pages import page_of
from ingest_service.jobs.queries import JobReader
from ingest_service.jobs.rows import NewTask, has_ended, insert_tasks, locked_job
from ingest_service.jobs.webhook_targets import JOIN_ENDPOINT, SHOWN, shown
from ingest_service.quotas.bounds import bound_reached
from ingest_service.uploads.notify import DispatchNotifier
from shared.queue.dispatch import Dispatch
from shared.schemas.states import TASK_TERMINAL, JobStatus, TaskKind, TaskState
from shared.schemas.webhook_attempts import WebhookAttempt, WebhookAttemptList
from shared.schemas.webhook_events import DeliveryInput
from shared.telemetry.logs import Log

log = Log(__name__)

MOST_ATTEMPTS = 1000  # that a list shows, the newest ones
_NEWEST_ATTEMPTS = f"""
    SELECT a.id, {SHOWN}, e.type, a.attempted_at, a.duration_ms, a.status, a.error, a.answer, a.next_attempt_at
    FROM jobs j JOIN webhook_events e ON e.job_id = $2 JOIN webhook_attempts a ON a.event_id = e.id {JOIN_ENDPOINT}
    WHERE j.tenant = $1 AND j.id = $2 ORDER BY a.id DESC LIMIT {MOST_ATTEMPTS}
"""  # noqa: S608 - constants
ATTEMPTS = f"""
    WITH {page_of(_NEWEST_ATTEMPTS, "id DESC")}
    SELECT event_id, endpoint_id, url, endpoint_host, type, attempted_at, duration_ms, status, error, answer,
           next_attempt_at
    FROM page ORDER BY id
"""  # noqa: S608 - constants
NEWEST_EVENT = """
    SELECT id, generation FROM webhook_events WHERE job_id = $1 ORDER BY generation DESC, created_at DESC LIMIT 1
"""

COUNT_DELIVERIES = "SELECT count(*) FROM tasks WHERE job_id = $1 AND kind = 'deliver'"
MAX_DELIVERIES = 100  # of a job by request; each is a row, and so is each of its attempts


async def list_attempts(database: Database, jobs: JobReader, tenant: str, job_id: str) -> WebhookAttemptList:
    """Return the newest delivery attempts, oldest first. Raise RefusedError `not_found` or `job_erased`."""
    job = await jobs.get_results(tenant, job_id)
    rows = await database.read(lambda connection: connection.fetch(ATTEMPTS, tenant, job.job_id), tenant)
    return WebhookAttemptList(attempts=tuple(WebhookAttempt(**shown(row)) for row in rows))


async def send_again(database: Database, notifier: DispatchNotifier, tenant: str, job_id: str) -> JobStatus:
    """Deliver the job's newest event again. Return the job's status.

    RefusedError: `not_ended`, `no_webhook`, …; LimitError after MAX_DELIVERIES.
    """
    async with locked_job(database, tenant, job_id) as (connection, job):
        if not has_ended(job):
            raise RefusedError(
                "not_ended", f"The job is {job['status']}. Its webhook can be sent again when the job has ended."
            )
        event = await connection.fetchrow(NEWEST_EVENT, job["id"])
        if event is None:
            raise RefusedError("no_webhook", "No webhook and no endpoint wanted an event of this job.")
        if await connection.fetchval(COUNT_DELIVERIES, job["id"]) >= MAX_DELIVERIES:
            raise bound_reached("webhook_deliveries", MAX_DELIVERIES)
        rows = await connection.fetch(DELIVERIES, job["id"], event["generation"])
        ids = sorted({event_of(row["input"]) for row in rows if delivery_of(row["input"]).event == event["id"]})
        deliveries = [await deliver_again(connection, job, event["generation"], each) for each in ids]
    notifier.notify_soon(*(dispatch for delivery in deliveries for dispatch in delivery.dispatches))
    log.info("webhook_sent_again", job_id=job_id, event_id=event["id"])
    return JobStatus(job["status"])


DELIVERIES = """
    SELECT id, state, ordinal, input FROM tasks
    WHERE job_id = $1 AND generation = $2 AND kind = 'deliver' ORDER BY id FOR UPDATE
"""
BRING_FORWARD = """
    UPDATE tasks SET not_before = now() WHERE job_id = $1 AND id = ANY($2::uuid[]) AND state = 'waiting'
"""
DISMISS = """
    UPDATE tasks SET dismissed_at = now()
    WHERE job_id = $1 AND id = ANY($2::uuid[]) AND state = 'dead' AND dismissed_at IS NULL
    RETURNING id
"""


class Delivery(msgspec.Struct, frozen=True):
    """What to enqueue after the commit, and the number of dismissed dead letters."""

    dispatches: tuple[Dispatch, ...]
    dismissed: int


async def deliver_again(connection: Any, job: Any, generation: int, event_id: str) -> Delivery:
    """Deliver an event of a locked job to one of its targets again. Dismiss the dead letters of this delivery.

    `event_id` is the `webhook-id`. A waiting task is due at once; otherwise a new task is inserted. The event keeps its
    id, so that a receiver recognizes it.
    """
    deliveries = await connection.fetch(DELIVERIES, job["id"], generation)
    of_event = [row for row in deliveries if event_of(row["input"]) == event_id]
    dismissed = await connection.fetch(DISMISS, job["id"], [row["id"] for row in of_event])
    pending = [row for row in of_event if TaskState(row["state"]) not in TASK_TERMINAL]
    if pending:
        await connection.execute(BRING_FORWARD, job["id"], [row["id"] for row in pending])
        return Delivery((), len(dismissed))
    ordinal = 1 + max((row["ordinal"] for row in deliveries), default=-1)
    task = NewTask(TaskKind.DELIVER, ordinal, input_json=delivery_input(event_id))
    return Delivery(await insert_tasks(connection, job, generation, [task]), len(dismissed))


def event_of(input_json: str) -> str:
    """Return the `webhook-id` in the `input` of a deliver task."""
    return delivery_of(input_json).event_id


def delivery_of(input_json: str) -> DeliveryInput:
    """Return the `input` of a deliver task."""
    return msgspec.json.decode(input_json, type=DeliveryInput)


def delivery_input(event_id: str) -> str:
    """Return the `input` of a deliver task."""
    return msgspec.json.encode(DeliveryInput(event_id)).decode()
