"""`/v1/keys`: a tenant's admins create, list and revoke its API keys. The operator creates tenants."""

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from ingest_service.auth.api_keys import ApiKeyList, CreatedApiKey, NewApiKey, create_key, list_keys, revoke_key
from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.openapi.keys import CREATE, LIST, REVOKE, CreateKey
from ingest_service.services import Services

MAX_BODY_BYTES = 16 << 10


@post(
    "/v1/keys",
    operation_class=CreateKey,
    responses=CREATE,
    opt=needs(Scope.ADMIN, gives_secret=True),
    request_max_body_size=MAX_BODY_BYTES,
    operation_id="createApiKey",
    tags=["keys"],
    summary="Create an API key",
)
async def create_api_key(
    data: JSONBody[NewApiKey], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> CreatedApiKey:
    """The only answer that contains the key. Two keys of a purpose may be valid at once, for rotation."""
    async with services.database.transaction(caller.tenant) as connection:
        return await create_key(connection, caller.tenant, data)


@get(
    "/v1/keys",
    responses=LIST,
    opt=needs(Scope.OBSERVE),
    operation_id="listApiKeys",
    tags=["keys"],
    summary="List API keys",
)
async def list_api_keys(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> ApiKeyList:
    """The tenant's keys: the valid ones, then the others, each newest first. The keys themselves are not shown."""
    async with services.database.reading(caller.tenant) as connection:
        return await list_keys(connection, caller.tenant)


@delete(
    "/v1/keys/{key_id:str}",
    responses=REVOKE,
    opt=needs(Scope.ADMIN),
    operation_id="revokeApiKey",
    tags=["keys"],
    summary="Revoke an API key",
)
async def revoke_api_key(
    key_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> None:
    """Revoke the key at once, in all processes. Revoking it again is no error."""
    async with services.database.transaction(caller.tenant) as connection:
        await revoke_key(connection, caller.tenant, key_id)
    services.key_cache.invalidate(
        key_id
    )  # in this process before the answer; other processes are notified at the commit


ROUTES = (create_api_key, list_api_keys, revoke_api_key)
