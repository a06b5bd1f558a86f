"""A job's webhook: every attempt to deliver its events, and a further one when the client asks for it."""

from ingest_service.database import Database
from ingest_service.errors import RefusedError
from ingest_service.jobs.cancel import has_ended
from ingest_service.jobs.deliver_again import deliver_again
from ingest_service.jobs.queries import JobReader
from ingest_service.jobs.rows import locked_job
from ingest_service.uploads.notify import Bell
from shared.schemas.api import WebhookAttempt, WebhookAttemptList
from shared.schemas.states import JobStatus
from shared.telemetry.logs import Log

log = Log(__name__)

ATTEMPTS = """
    SELECT e.id AS event_id, e.type, a.attempted_at, a.duration_ms, a.status, a.error, a.answer, a.next_attempt_at
    FROM jobs j JOIN webhook_events e ON e.job_id = j.id JOIN webhook_attempts a ON a.event_id = e.id
    WHERE j.tenant = $1 AND j.id = $2 ORDER BY a.id
"""
NEWEST_EVENT = """
    SELECT id, generation FROM webhook_events WHERE job_id = $1 ORDER BY generation DESC, created_at DESC LIMIT 1
"""


async def list_attempts(database: Database, jobs: JobReader, tenant: str, job_id: str) -> WebhookAttemptList:
    """All attempts, oldest first. Raises RefusedError `not_found` or `job_erased`."""
    job = await jobs.get_results(tenant, job_id)
    async with database.reading(tenant) as connection:
        rows = await connection.fetch(ATTEMPTS, tenant, job.job_id)
    return WebhookAttemptList(attempts=tuple(WebhookAttempt(**row) for row in rows))


async def send_again(database: Database, bell: Bell, tenant: str, job_id: str) -> JobStatus:
    """Deliver the job's newest event once more; how the job stands. RefusedError `not_ended`, `no_webhook`, …."""
    async with locked_job(database, tenant, job_id) as (connection, job):
        if not has_ended(job):
            raise RefusedError("not_ended", f"The job is {job['status']}: there is nothing to tell of yet.")
        event = await connection.fetchrow(NEWEST_EVENT, job["id"])
        if job["webhook_url"] is None or event is None:
            raise RefusedError("no_webhook", "The job was submitted without a `webhook_url`.")
        delivery = await deliver_again(connection, job, event["generation"], event["id"])
    bell.ring_soon(*delivery.dispatches)
    log.info("webhook_sent_again", job_id=job_id, event_id=event["id"])
    return JobStatus(job["status"])
