"""`GET /v1/jobs/{job_id}/transcript/search`: where a phrase is said."""

from typing import Annotated, Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.errors import RefusedError
from ingest_service.formats.search import Search
from ingest_service.jobs.renders import RenderKey
from ingest_service.jobs.results import find_transcript
from ingest_service.openapi.document import RESULT_PROBLEMS
from ingest_service.openapi.results import FOUND, PhraseIsRequired
from ingest_service.routes.conditional import Validators, early_answer
from ingest_service.routes.transcript import NO_EDITS, Edits, edits_to_apply
from ingest_service.services import Services
from shared.subtitles.cue_size import CueSize

CURSOR = r"^[0-9]{1,7}$(?!\n)"  # of a day of speech, every word
PHRASE = "a phrase of at most 200 characters"
Phrase = Annotated[
    str,
    QueryParameter(
        max_length=200,
        description=f"{PHRASE}; case, accents and punctuation do not count; `*` at its end: the rest of a word",
    ),
]


@get(
    "/v1/jobs/{job_id:str}/transcript/search",
    operation_class=PhraseIsRequired,
    responses={**RESULT_PROBLEMS, **FOUND},
    opt=needs(Scope.READ),
    operation_id="searchTranscript",
    tags=["results"],
    summary="Find a phrase in the transcript",
)
async def search_transcript(  # noqa: PLR0913 - one for each query parameter
    request: Request[Any, Any, Any],
    job_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    *,
    q: Phrase = "",
    limit: Annotated[int, QueryParameter(ge=1, le=200, description="The most hits of a page")] = 50,
    cursor: Annotated[str, QueryParameter(pattern=CURSOR, description="the `next_cursor` of a page")] = "0",
    edits: Edits = NO_EDITS,
) -> Response[Any]:
    """Where a phrase is said, with times in seconds and the text around it. A phrase may go over segments.

    Words are found as a whole; in scripts without spaces, any part of the text is found.
    """
    if not q:
        raise RefusedError("invalid_parameter", f"`q` must be {PHRASE}.")
    job = await services.jobs.get_results(caller.tenant, job_id)
    applied = await edits_to_apply(services, caller, job, edits)
    blob = await find_transcript(services.blobs, job)
    search = Search(q=q, skip=int(cursor), limit=limit)
    key = RenderKey(blob, str(job.job_id), search, CueSize(), applied.key if applied else "")
    found = await services.renders.get(caller.tenant, key, applied.overlay if applied else None)
    current = Validators.of_text(found)
    if early := early_answer(request.headers, current):
        return early
    return Response(found, media_type="application/json", headers=current.headers())


ROUTES = (search_transcript,)
