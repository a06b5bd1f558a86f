"""Webhooks: list delivery attempts of a job or of all, send again, send a test event; the tenant's secret."""

import datetime as dt
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.auth.webhook_secrets import NewWebhookSecret, Rotation, rotate_secret
from ingest_service.errors import RefusedError
from ingest_service.jobs.views import CURSOR_FORM
from ingest_service.jobs.webhook_log import CURSOR, AttemptResult, LogFilter, decode_attempt_cursor, read_log
from ingest_service.jobs.webhook_tests import NewWebhookTest, read_test, request_test
from ingest_service.jobs.webhooks import list_attempts, send_again
from ingest_service.openapi.document import NOT_FOUND, ONE_JOB, SEND_AGAIN, TEST_WEBHOOK, TIME, WRONG_PARAMETER
from ingest_service.openapi.keys import ROTATE, RotateSecret, SendTest
from ingest_service.services import Services
from shared.allowed_values import allowed
from shared.schemas.api import JobAccepted, Links
from shared.schemas.webhook_attempts import WebhookAttemptList, WebhookLog, WebhookTest

Since = Annotated[str | None, QueryParameter(description="the earliest time; UTC without a zone", schema_extra=TIME)]

MAX_BODY_BYTES = 4 << 10
MAX_TEST_BYTES = 32 << 10  # the longest URL has 2,000 characters, of up to 12 bytes each with JSON's escapes


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


@get(
    "/v1/webhooks/attempts",
    responses=WRONG_PARAMETER,
    opt=needs(Scope.OBSERVE),
    operation_id="listAllWebhookAttempts",
    tags=["webhooks"],
    summary="List the webhook attempts of all jobs",
)
async def get_all_webhook_attempts(  # noqa: PLR0913 - one for each query parameter
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    *,
    result: FromQuery[AttemptResult | None] = None,
    status: Annotated[int | None, QueryParameter(ge=100, le=599, description="the status of the answer")] = None,
    job_id: FromQuery[UUID | None] = None,
    since: Since = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    cursor: Annotated[str | None, QueryParameter(pattern=CURSOR, description=CURSOR_FORM)] = None,
) -> WebhookLog:
    """Delivery attempts of all jobs of the tenant, newest first, with what was sent and the first bytes of the answer.

    Of a URL, only the host is shown. `next_cursor` is the `cursor` of the next page; null on the last. A request looks
    through a bounded number of attempts, so a page may be short or empty before that.
    """
    wanted = LogFilter(result=result, status=status, job_id=job_id, since=None if since is None else _in_utc(since))
    before = None if cursor is None else decode_attempt_cursor(cursor)
    return await read_log(services.database, caller.tenant, wanted, limit, before)


def _in_utc(text: str) -> dt.datetime:
    """A time without a zone is UTC. Raise RefusedError `invalid_parameter` for one outside the years 1 to 9999."""
    try:
        moment = msgspec.convert(text, dt.datetime)
        return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    except msgspec.ValidationError:
        raise RefusedError("invalid_parameter", f"`since` must be {allowed(dt.datetime)}.") from None
    except OverflowError:
        raise RefusedError("invalid_parameter", "`since` must be a time in the years 1 to 9999.") from None


@post(
    "/v1/webhooks/test",
    operation_class=SendTest,
    responses=TEST_WEBHOOK,
    status_code=202,
    opt=needs(Scope.ADMIN),
    request_max_body_size=MAX_TEST_BYTES,
    operation_id="testWebhook",
    tags=["webhooks"],
    summary="Send a test event",
)
async def send_test_event(
    data: JSONBody[NewWebhookTest], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> WebhookTest:
    """Send a `webhook.test` event to a URL, signed with the tenant's secret. A processor makes one attempt.

    `GET /v1/webhooks/tests/{test_id}` has the result, for an hour.
    """
    return await request_test(services.database, caller.tenant, data.url)


@get(
    "/v1/webhooks/tests/{test_id:str}",
    responses=NOT_FOUND,
    opt=needs(Scope.OBSERVE),
    operation_id="getWebhookTest",
    tags=["webhooks"],
    summary="Get the result of a test event",
)
async def get_test_event(
    test_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> WebhookTest:
    """The state of a test event: `waiting`, `sending`, `delivered` or `failed`, and the first bytes of the answer."""
    return await read_test(services.database, caller.tenant, test_id)


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


ROUTES = (
    get_webhook_attempts,
    send_webhook_again,
    get_all_webhook_attempts,
    send_test_event,
    get_test_event,
    rotate_webhook_secret,
)
