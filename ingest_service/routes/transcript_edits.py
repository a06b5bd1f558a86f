"""`/v1/jobs/{job_id}/transcript/edits`: corrections of a transcript, in versions beside the engine's text."""

from typing import Annotated

from litestar import get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, PathParameter

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.client_json import MAX_NODES_OF_ROUTE
from ingest_service.openapi.edits import EDIT_VERSION, EDITS, SAVE_EDITS, SaveEdits
from ingest_service.services import Services
from shared.schemas.transcript_edits import MAX_CHANGES, EditVersion, EditVersionList, EditVersionView, NewEdits

MAX_BODY_BYTES = 2 << 20
MAX_NODES = MAX_CHANGES + 8  # the entries, and what encloses them


@put(
    "/v1/jobs/{job_id:str}/transcript/edits",
    operation_class=SaveEdits,
    responses=SAVE_EDITS,
    opt={**needs(Scope.SUBMIT), MAX_NODES_OF_ROUTE: MAX_NODES},
    request_max_body_size=MAX_BODY_BYTES,
    operation_id="saveTranscriptEdits",
    tags=["results"],
    summary="Correct the transcript",
)
async def save_edits(
    job_id: FromPath[str],
    data: JSONBody[NewEdits],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> EditVersion:
    """Add a version of corrections: speakers' names, words, speakers of segments. The engine's text does not change.

    The body has all corrections of the version, not the difference from the one before. `base_version` is the newest
    version that the client knows, 0 for none; if there is a newer one, the answer is 409 `edit_conflict`. A repeated
    request changes nothing.
    """
    return await services.edits.add(caller, job_id, data)


@get(
    "/v1/jobs/{job_id:str}/transcript/edits",
    responses=EDITS,
    opt=needs(Scope.READ),
    operation_id="listTranscriptEdits",
    tags=["results"],
    summary="List the versions of corrections",
)
async def list_edits(
    job_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> EditVersionList:
    """The versions, newest first: time, author (the id of the API key), number of changes. The newest 100 are kept."""
    return await services.edits.list(caller.tenant, job_id)


@get(
    "/v1/jobs/{job_id:str}/transcript/edits/{version:str}",  # the refusal of a word says what is allowed
    responses=EDIT_VERSION,
    opt=needs(Scope.READ),
    operation_id="getTranscriptEdits",
    tags=["results"],
    summary="Get a version of corrections",
)
async def get_edits(
    job_id: FromPath[str],
    version: Annotated[int, PathParameter(ge=1, le=2**31 - 1)],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
) -> EditVersionView:
    """A version with its changes, as they address the transcript that is served now. `was` is the engine's text."""
    return await services.edits.get(caller.tenant, job_id, version)


ROUTES = (save_edits, list_edits, get_edits)
