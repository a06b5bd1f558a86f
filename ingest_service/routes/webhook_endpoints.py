"""`/v1/webhooks/endpoints`: a tenant's admins register endpoints that receive the events of all its jobs."""

from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.auth.webhook_secrets import NewWebhookSecret, Rotation
from ingest_service.jobs.webhook_endpoints import (
    CreatedEndpoint,
    EndpointChange,
    EndpointList,
    NewEndpoint,
    WebhookEndpoint,
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    list_endpoints,
    read_endpoint,
    rotate_endpoint_secret,
)
from ingest_service.jobs.webhook_tests import request_endpoint_test
from ingest_service.openapi.document import NOT_FOUND
from ingest_service.openapi.keys import LIST, RotateSecret
from ingest_service.openapi.webhook_endpoints import (
    CHANGE_ENDPOINT,
    CREATE_ENDPOINT,
    ROTATE_ENDPOINT,
    TEST_ENDPOINT,
    ChangeEndpoint,
    CreateEndpoint,
)
from ingest_service.services import Services
from shared.schemas.webhook_attempts import WebhookTest

MAX_BODY_BYTES = 4 << 10
MAX_ENDPOINT_BYTES = 32 << 10  # the longest URL has 2,000 characters, of up to 12 bytes each with JSON's escapes
PATH = "/v1/webhooks/endpoints"


@post(
    PATH,
    operation_class=CreateEndpoint,
    responses=CREATE_ENDPOINT,
    opt=needs(Scope.ADMIN, gives_secret=True),
    request_max_body_size=MAX_ENDPOINT_BYTES,
    operation_id="createWebhookEndpoint",
    tags=["webhooks"],
    summary="Register a webhook endpoint",
)
async def create_webhook_endpoint(
    data: JSONBody[NewEndpoint], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> CreatedEndpoint:
    """Have the events of all jobs of the tenant sent to a URL. Only this answer contains the endpoint's `secret`.

    Jobs that end from now on are delivered. At most 16 endpoints.
    """
    return await create_endpoint(services.database, caller.tenant, data)


@get(
    PATH,
    responses=LIST,
    opt=needs(Scope.OBSERVE),
    operation_id="listWebhookEndpoints",
    tags=["webhooks"],
    summary="List the webhook endpoints",
)
async def list_webhook_endpoints(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> EndpointList:
    """The tenant's endpoints, oldest first. Of a URL, only the host is shown."""
    return await list_endpoints(services.database, caller.tenant)


@get(
    PATH + "/{endpoint_id:str}",
    responses=NOT_FOUND,
    opt=needs(Scope.OBSERVE),
    operation_id="getWebhookEndpoint",
    tags=["webhooks"],
    summary="Get a webhook endpoint",
)
async def get_webhook_endpoint(
    endpoint_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> WebhookEndpoint:
    """An endpoint: what it receives, since when it fails, and why it is paused."""
    return await read_endpoint(services.database, caller.tenant, endpoint_id)


@patch(
    PATH + "/{endpoint_id:str}",
    operation_class=ChangeEndpoint,
    responses=CHANGE_ENDPOINT,
    opt=needs(Scope.ADMIN),
    request_max_body_size=MAX_ENDPOINT_BYTES,
    operation_id="changeWebhookEndpoint",
    tags=["webhooks"],
    summary="Change a webhook endpoint",
)
async def change_webhook_endpoint(
    endpoint_id: FromPath[str],
    data: JSONBody[EndpointChange],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> WebhookEndpoint:
    """Change the fields that are given. `enabled` true, or another `url`, resumes a paused endpoint."""
    return await change_endpoint(services.database, caller.tenant, endpoint_id, data)


@delete(
    PATH + "/{endpoint_id:str}",
    responses=NOT_FOUND,
    opt=needs(Scope.ADMIN),
    operation_id="deleteWebhookEndpoint",
    tags=["webhooks"],
    summary="Delete a webhook endpoint",
)
async def delete_webhook_endpoint(
    endpoint_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> None:
    """Delete the endpoint and its secrets. Deliveries that wait are dropped."""
    await delete_endpoint(services.database, caller.tenant, endpoint_id)


@post(
    PATH + "/{endpoint_id:str}/secret/rotate",
    operation_class=RotateSecret,
    responses=ROTATE_ENDPOINT,
    opt=needs(Scope.ADMIN, gives_secret=True),
    request_max_body_size=MAX_BODY_BYTES,
    operation_id="rotateWebhookEndpointSecret",
    tags=["webhooks"],
    summary="Rotate the secret of a webhook endpoint",
)
async def rotate_webhook_endpoint_secret(
    endpoint_id: FromPath[str],
    data: JSONBody[Rotation],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> NewWebhookSecret:
    """Make the endpoint's new secret: the only answer that contains it. It signs at once, and the previous one, too."""
    return await rotate_endpoint_secret(services.database, caller.tenant, endpoint_id, data)


@post(
    PATH + "/{endpoint_id:str}/test",
    responses=TEST_ENDPOINT,
    status_code=202,
    opt=needs(Scope.ADMIN),
    operation_id="testWebhookEndpoint",
    tags=["webhooks"],
    summary="Send a test event to a webhook endpoint",
)
async def test_webhook_endpoint(
    endpoint_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> WebhookTest:
    """Send a `webhook.test` event, signed with the endpoint's secret. A test that is delivered resumes the endpoint.

    `GET /v1/webhooks/tests/{test_id}` has the result, for an hour.
    """
    return await request_endpoint_test(services.database, caller.tenant, endpoint_id)


ROUTES = (
    create_webhook_endpoint,
    list_webhook_endpoints,
    get_webhook_endpoint,
    change_webhook_endpoint,
    delete_webhook_endpoint,
    rotate_webhook_endpoint_secret,
    test_webhook_endpoint,
)
