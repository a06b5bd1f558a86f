"""`/v1/keys`: a tenant's admins make and revoke its API keys. Tenants themselves are made by the operator."""

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.auth.keys import ApiKeyList, CreatedApiKey, NewApiKey, create_key, list_keys, revoke_key
from ingest_service.openapi.keys import CREATE, LIST, REVOKE, CreateKey
from ingest_service.services import Services

MAX_BODY_BYTES = 16 << 10


@post(
    "/v1/keys",
    operation_class=CreateKey,
    responses=CREATE,
    opt=needs(Scope.ADMIN),
    request_max_body_size=MAX_BODY_BYTES,
    summary="Create an API key",
)
async def create_api_key(
    data: JSONBody[NewApiKey], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> CreatedApiKey:
    """The only answer that has the key itself. Two keys of a purpose may live at once: so a key is rotated."""
    async with services.database.transaction(caller.tenant) as connection:
        return await create_key(connection, caller.tenant, data)


@get("/v1/keys", responses=LIST, opt=needs(Scope.ADMIN), summary="List API keys")
async def list_api_keys(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> ApiKeyList:
    """The tenant's keys: those that live, then those that ended, each newest first. None can be read again."""
    async with services.database.reading(caller.tenant) as connection:
        return await list_keys(connection, caller.tenant)


@delete("/v1/keys/{key_id:str}", responses=REVOKE, opt=needs(Scope.ADMIN), summary="Revoke an API key")
async def revoke_api_key(
    key_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> None:
    """From now on nobody comes in by it, in any process. Once more is no error."""
    async with services.database.transaction(caller.tenant) as connection:
        await revoke_key(connection, caller.tenant, key_id)
    services.key_ring.forget(key_id)  # here before the answer; the others hear of it at the commit
