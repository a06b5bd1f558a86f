"""`GET /v1/search`: where the searchable transcripts of a tenant have some words."""

from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.errors import RefusedError
from ingest_service.jobs.filters import JobFilter
from ingest_service.jobs.full_text import MOST_PASSAGES, TextSearch, search_transcripts
from ingest_service.openapi.document import SEARCH
from ingest_service.openapi.results import PhraseIsRequired
from ingest_service.routes.job_lists import After, Before
from ingest_service.services import Services
from shared.allowed_values import why_refused
from shared.schemas.api import TranscriptHits
from shared.schemas.languages import LANGUAGES

WORDS = "words of 1 to 200 characters together, without NUL"
CURSOR = rf"^([0-9]{{1,3}}|1[0-9]{{3}}|{MOST_PASSAGES})$(?!\n)"
Words = Annotated[
    str,
    QueryParameter(
        pattern=r"^[^\x00]*$(?!\n)",  # Postgres stores none
        max_length=200,
        description=f'{WORDS}; `"…"` finds a phrase, `or` either word, `-` leaves out passages with a word',
    ),
]
Language = Annotated[
    str | None,
    QueryParameter(description="Only text in this language", schema_extra={"enum": sorted(LANGUAGES)}),
]


@get(
    "/v1/search",
    operation_class=PhraseIsRequired,
    responses=SEARCH,
    opt=needs(Scope.READ),
    operation_id="searchTranscripts",
    tags=["results"],
    summary="Search all transcripts",
)
async def search(  # noqa: PLR0913 - one for each query parameter
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    *,
    q: Words = "",
    language: Language = None,
    created_after: After = None,
    created_before: Before = None,
    limit: Annotated[int, QueryParameter(ge=1, le=50, description="The most hits of a page")] = 20,
    cursor: Annotated[str, QueryParameter(pattern=CURSOR, description="the `next_cursor` of a page")] = "0",
) -> TranscriptHits:
    """Passages of the transcripts of jobs with `searchable=true`, the best first. Words are found in all their forms.

    Of the passages that match, the newest 2,000 are ranked; `complete` is false if there are more.
    """
    if not q:
        raise RefusedError("invalid_parameter", f"`q` must be {WORDS}.")
    if language is not None and language not in LANGUAGES:
        raise RefusedError("invalid_parameter", f"`language` must be one of {', '.join(sorted(LANGUAGES))}.")
    wanted = _times(created_after, created_before)
    found = TextSearch(q=q, language=language, wanted=wanted, skip=int(cursor), limit=limit)
    return await search_transcripts(services.database, caller.tenant, found)


def _times(after: str | None, before: str | None) -> JobFilter:
    given: dict[str, Any] = {"created_after": after, "created_before": before}
    try:
        return msgspec.convert({name: value for name, value in given.items() if value is not None}, JobFilter)
    except msgspec.ValidationError as error:
        raise RefusedError("invalid_parameter", f"{why_refused(error, JobFilter)}.") from error


ROUTES = (search,)
