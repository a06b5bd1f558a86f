"""`/v1/jobs/{job_id}/webhook-attempts` and `/webhook`: list delivery attempts, send again; the tenant's secret."""

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.auth.webhook_secrets import NewWebhookSecret, Rotation, rotate_secret
from ingest_service.jobs.webhooks import list_attempts, send_again
from ingest_service.openapi.document import ONE_JOB, SEND_AGAIN
from ingest_service.openapi.keys import ROTATE, RotateSecret
from ingest_service.services import Services
from shared.schemas.api import JobAccepted, Links, WebhookAttemptList

MAX_BODY_BYTES = 4 << 10


@get(
    "/v1/jobs/{job_id:str}/webhook-attempts",
    responses=ONE_JOB,
    opt=needs(Scope.READ),
    operation_id="listWebhookAttempts",
    tags=["webhooks"],
    summary="List webhook attempts",
)
async def get_webhook_attempts(
    job_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> WebhookAttemptList:
    """The newest 1,000 delivery attempts of the job's events, oldest first, with the first bytes of each answer."""
    return await list_attempts(services.database, services.jobs, caller.tenant, job_id)


@post(
    "/v1/jobs/{job_id:str}/webhook",
    responses=SEND_AGAIN,
    status_code=202,
    opt=needs(Scope.SUBMIT),
    operation_id="sendWebhookAgain",
    tags=["webhooks"],
    summary="Send the webhook again",
)
async def send_webhook_again(
    job_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> JobAccepted:
    """Deliver the job's newest event again, with the same `webhook-id`. A waiting attempt is made at once."""
    status = await send_again(services.database, services.notifier, caller.tenant, job_id)
    return JobAccepted(job_id=job_id, status=status, links=Links.of(job_id))


@post(
    "/v1/webhooks/secret/rotate",
    operation_class=RotateSecret,
    responses=ROTATE,
    opt=needs(Scope.ADMIN, gives_secret=True),
    request_max_body_size=MAX_BODY_BYTES,
    operation_id="rotateWebhookSecret",
    tags=["webhooks"],
    summary="Rotate the webhook secret",
)
async def rotate_webhook_secret(
    data: JSONBody[Rotation], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> NewWebhookSecret:
    """Make the tenant's new webhook secret: the only answer that contains it. It signs at once.

    The previous secret signs in addition for `previous_valid_s` seconds, a day by default. 0 ends it at once.
    """
    async with services.database.transaction(caller.tenant) as connection:
        return await rotate_secret(connection, caller.tenant, data)


ROUTES = (get_webhook_attempts, send_webhook_again, rotate_webhook_secret)
