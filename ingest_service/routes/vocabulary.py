"""`/v1/vocabulary`: the key terms and replacements of all jobs of a tenant."""

from litestar import delete, get, put
from litestar.di import NamedDependency
from litestar.params import JSONBody

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.jobs.vocabulary import (
    NewVocabulary,
    VocabularyView,
    forget_vocabulary,
    put_vocabulary,
    read_vocabulary,
)
from ingest_service.openapi.vocabulary import FORGET, PUT, SHOW, PutVocabulary
from ingest_service.services import Services

MAX_BODY_BYTES = 512 << 10  # escapes of JSON are longer than what is stored


@put(
    "/v1/vocabulary",
    operation_class=PutVocabulary,
    responses=PUT,
    opt=needs(Scope.SUBMIT),
    request_max_body_size=MAX_BODY_BYTES,
    operation_id="putVocabulary",
    tags=["jobs"],
    summary="Set the tenant's vocabulary",
)
async def put_tenant_vocabulary(
    data: JSONBody[NewVocabulary], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> VocabularyView:
    """Replace the key terms and replacements that jobs use after their own.

    A job has the vocabulary of its submission. `vocabulary=false` turns it off for a job.
    """
    async with services.database.transaction(caller.tenant) as connection:
        return await put_vocabulary(connection, caller.tenant, data)


@get(
    "/v1/vocabulary",
    responses=SHOW,
    opt=needs(Scope.READ),
    operation_id="getVocabulary",
    tags=["jobs"],
    summary="Get the tenant's vocabulary",
)
async def get_vocabulary(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> VocabularyView:
    """The newest version; empty lists if the tenant has none."""
    return await read_vocabulary(services.database, caller.tenant)


@delete(
    "/v1/vocabulary",
    responses=FORGET,
    opt=needs(Scope.SUBMIT),
    operation_id="deleteVocabulary",
    tags=["jobs"],
    summary="Delete the tenant's vocabulary",
)
async def delete_vocabulary(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> None:
    """Delete all versions. Jobs that wait do not use them either."""
    async with services.database.transaction(caller.tenant) as connection:
        await forget_vocabulary(connection, caller.tenant)


ROUTES = (put_tenant_vocabulary, get_vocabulary, delete_vocabulary)
