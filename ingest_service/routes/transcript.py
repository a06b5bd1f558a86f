"""`GET /v1/jobs/{job_id}/transcript`: the transcript as JSON or in another format.

`GET /v1/jobs/{job_id}/transcript/text`: the text formats alone. The document describes JSON at the first route and text
at the second, because generated clients decode all answers of a route in one way.
"""

from typing import Annotated, Any, Literal, NamedTuple

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.jobs.download_names import Disposition, audio_name, content_disposition, result_name, safe_name
from ingest_service.jobs.media_types import MEDIA_TYPES as AUDIO_TYPES
from ingest_service.jobs.media_types import UNKNOWN_TYPE
from ingest_service.jobs.queries import JobResults
from ingest_service.jobs.renders import RenderKey
from ingest_service.jobs.results import REDACTED, find_transcript, require_results
from ingest_service.jobs.transcript_edits import FoundEdits
from ingest_service.jobs.unredacted import Redacted, require_original
from ingest_service.openapi.document import RESULT_PROBLEMS
from ingest_service.openapi.results import TEXT, TRANSCRIPT, OnlyJson, TextFormats
from ingest_service.routes.conditional import Validators, early_answer
from ingest_service.services import Services
from shared.formats.style import (
    MEDIA_TYPES,
    SUFFIXES,
    TITLED,
    FileFormat,
    Recording,
    Style,
    TextFormat,
    text_type,
)
from shared.subtitles.cue_size import CueSize

EDITS = r"^(?:none|latest|[0-9]{1,9})$(?!\n)"
Edits = Annotated[
    str,
    QueryParameter(pattern=EDITS, description="`none` (the engine's text), `latest`, or the number of a version"),
]
NO_EDITS, LATEST = "none", "latest"
Format = Literal["json", TextFormat, FileFormat]
MaxChars = Annotated[int | None, QueryParameter(ge=10, le=200, description="The most columns of a subtitle line")]
MaxLines = Annotated[int | None, QueryParameter(ge=1, le=4, description="The most lines of a subtitle cue")]
MaxSeconds = Annotated[
    float | None, QueryParameter(ge=1, le=60, description="The most seconds that a subtitle cue is shown")
]
Words = Annotated[bool, QueryParameter(description="SRT, VTT, LRC: show each word at its time")]
DirectionMarks = Annotated[
    bool,
    QueryParameter(description="SRT, VTT: mark right-to-left lines, so that players show them in order"),
]
Paragraphs = Annotated[bool, QueryParameter(description="JSON: also return `paragraphs` with their sentences")]
Normalize = Annotated[
    bool, QueryParameter(description="Write numbers with digits, in da, de, en, es, fr, it, nl and pt; times stay")
]
WITH_WORDS = frozenset({"srt", "vtt", "lrc"})
WITH_MARKS = frozenset({"srt", "vtt"})


@get(
    "/v1/jobs/{job_id:str}/transcript",
    operation_class=OnlyJson,
    responses={**RESULT_PROBLEMS, **TRANSCRIPT},
    opt=needs(Scope.READ),
    operation_id="getTranscript",
    tags=["results"],
    summary="Get the transcript",
)
async def get_transcript(  # noqa: PLR0913 - one for each query parameter
    request: Request[Any, Any, Any],
    job_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    *,
    format: FromQuery[Format] = "json",  # noqa: A002 - the contract's name
    max_chars: MaxChars = None,
    max_lines: MaxLines = None,
    max_seconds: MaxSeconds = None,
    edits: Edits = NO_EDITS,
    words: Words = False,
    direction_marks: DirectionMarks = True,
    paragraphs: Paragraphs = False,
    normalize: Normalize = False,
    redacted: Redacted = True,
) -> Response[Any]:
    """The transcript of a COMPLETED job. Times are seconds. Text and subtitles: see `/transcript/text`.

    It is the engine's text; `edits` applies corrections. `format=docx` returns a Word document. `ETag` identifies the
    text; with `If-None-Match`, 304 if the client has it.
    """
    job = await services.jobs.get_results(caller.tenant, job_id)
    if not redacted:
        require_original(caller, job)
    applied = await edits_to_apply(services, caller, job, edits if redacted else NO_EDITS)
    style = Style(words=words, direction_marks=direction_marks, paragraphs=paragraphs, normalize=normalize)
    if format == "json" and applied is None and not (paragraphs or normalize):
        return await _stored(request, services, job, redacted=redacted)
    size = services.cue_size.but(max_chars=max_chars, max_lines=max_lines, max_seconds=max_seconds)
    media_type = "application/json" if format == "json" else MEDIA_TYPES[format]
    return await _rendered(request, services, caller, job, RenderAs(format, size, media_type, applied, style, redacted))


@get(
    "/v1/jobs/{job_id:str}/transcript/text",
    operation_class=TextFormats,
    responses={**RESULT_PROBLEMS, **TEXT},
    opt=needs(Scope.READ),
    operation_id="getTranscriptText",
    tags=["results"],
    summary="Get the transcript as text or subtitles",
)
async def get_transcript_text(  # noqa: PLR0913 - one for each query parameter
    request: Request[Any, Any, Any],
    job_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    *,
    format: FromQuery[TextFormat] = "txt",  # noqa: A002 - the contract's name
    max_chars: MaxChars = None,
    max_lines: MaxLines = None,
    max_seconds: MaxSeconds = None,
    edits: Edits = NO_EDITS,
    words: Words = False,
    direction_marks: DirectionMarks = True,
    normalize: Normalize = False,
    redacted: Redacted = True,
) -> Response[Any]:
    """The transcript of a COMPLETED job, as `text/…` in each format. The settings have the defaults for subtitles."""
    job = await services.jobs.get_results(caller.tenant, job_id)
    size = services.cue_size.but(max_chars=max_chars, max_lines=max_lines, max_seconds=max_seconds)
    if not redacted:
        require_original(caller, job)
    applied = await edits_to_apply(services, caller, job, edits if redacted else NO_EDITS)
    style = Style(words=words, direction_marks=direction_marks, normalize=normalize)
    wanted = RenderAs(format, size, text_type(format), applied, style, redacted)
    return await _rendered(request, services, caller, job, wanted)


class RenderAs(NamedTuple):
    """The form of a text."""

    format: Format
    size: CueSize
    media_type: str
    edits: FoundEdits | None
    style: Style
    redacted: bool = True


async def edits_to_apply(services: Services, caller: Caller, job: JobResults, wanted: str) -> FoundEdits | None:
    """Return the corrections to apply; None: the engine's text."""
    require_results(job)
    if wanted == LATEST:
        return await services.edits.to_apply(caller.tenant, job, None)
    version = 0 if wanted == NO_EDITS else int(wanted)
    return await services.edits.to_apply(caller.tenant, job, version) if version else None


async def _rendered(
    request: Request[Any, Any, Any], services: Services, caller: Caller, job: JobResults, wanted: RenderAs
) -> Response[Any]:
    blob = await find_transcript(services.blobs, job, redacted=wanted.redacted)
    edits = wanted.edits
    style = _effective(wanted, job, f"{request.base_url}v1/jobs/{job.job_id}/audio")
    key = RenderKey(blob, str(job.job_id), wanted.format, wanted.size, edits.key if edits else "", style)
    text = await services.renders.get(caller.tenant, key, edits.overlay if edits else None)
    current = Validators.of_text(text)
    if early := early_answer(request.headers, current):
        return early
    headers = {**_named(job, wanted.format), **current.headers()}
    return Response(text, media_type=wanted.media_type, headers=headers)


def _effective(wanted: RenderAs, job: JobResults, link: str) -> Style:
    """Return the style without what the format does not have, so that equal texts are rendered once."""
    style = wanted.style
    return Style(
        words=style.words and wanted.format in WITH_WORDS,
        direction_marks=style.direction_marks and wanted.format in WITH_MARKS,
        paragraphs=style.paragraphs and wanted.format == "json",
        normalize=style.normalize,
        recording=_recording(job, link) if wanted.format in TITLED else Recording(),
    )


def _recording(job: JobResults, link: str) -> Recording:
    name = safe_name(job.filename)
    _, suffix = AUDIO_TYPES.get(job.container or "", UNKNOWN_TYPE)
    filename = audio_name(job.filename, job.job_id, suffix)
    if job.options.has_redacted_audio:
        filename = result_name(job.filename, job.job_id, REDACTED)
    filename = "" if job.audio_is_erased else filename
    return Recording(title=name or str(job.job_id), filename=filename, link="" if job.audio_is_erased else link)


async def _stored(
    request: Request[Any, Any, Any], services: Services, job: JobResults, *, redacted: bool
) -> Response[Any]:
    """Return the JSON as it is stored."""
    blob = await find_transcript(services.blobs, job, redacted=redacted)
    current = Validators.of(blob)
    if early := early_answer(request.headers, current):
        return early
    headers = {**_named(job, "json"), **current.headers(), "Content-Length": str(blob.size)}
    pieces = services.blobs.read(blob.key, 0, blob.size)  # a day of speech has 20 MB
    return Stream(pieces, media_type="application/json", headers=headers)


def _named(job: JobResults, wanted: str) -> dict[str, str]:
    kind: Disposition = "attachment" if wanted == "html" else "inline"  # a page must not run at the service's address
    name = result_name(job.filename, job.job_id, SUFFIXES.get(wanted, wanted))
    return {"Content-Disposition": content_disposition(kind, name)}


ROUTES = (get_transcript, get_transcript_text)
