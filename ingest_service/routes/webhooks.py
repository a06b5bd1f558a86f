"""`/v1/jobs/{job_id}/webhook-attempts` and `/webhook`: list delivery attempts, send the webhook again."""

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.jobs.webhooks import list_attempts, send_again
from ingest_service.openapi.document import ONE_JOB, SEND_AGAIN
from ingest_service.services import Services
from shared.schemas.api import JobAccepted, Links, WebhookAttemptList


@get(
    "/v1/jobs/{job_id:str}/webhook-attempts", responses=ONE_JOB, opt=needs(Scope.READ), summary="List webhook attempts"
)
async def get_webhook_attempts(
    job_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> WebhookAttemptList:
    """All delivery attempts of the job's events, oldest first, with the first bytes of each answer."""
    return await list_attempts(services.database, services.jobs, caller.tenant, job_id)


@post(
    "/v1/jobs/{job_id:str}/webhook",
    responses=SEND_AGAIN,
    status_code=202,
    opt=needs(Scope.SUBMIT),
    summary="Send the webhook again",
)
async def send_webhook_again(
    job_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> JobAccepted:
    """Deliver the job's newest event again, with the same `webhook-id`. A waiting attempt is made at once."""
    status = await send_again(services.database, services.notifier, caller.tenant, job_id)
    return JobAccepted(job_id=job_id, status=status, links=Links.of(job_id))


ROUTES = (get_webhook_attempts, send_webhook_again)
