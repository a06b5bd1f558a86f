"""`GET /v1/jobs/{job_id}/transcript`: the result, as JSON, plain text or subtitles."""

import asyncio
from typing import Literal

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from ingest_service.describe_api import RESULT_PROBLEMS, TRANSCRIPT
from ingest_service.find_results import read_transcript
from ingest_service.render_transcript import RENDERERS
from ingest_service.services import LOCAL_TENANT, Services
from shared.transcript import Transcript

Format = FromQuery[Literal["json", "txt", "srt", "vtt"]]


@get("/v1/jobs/{job_id:str}/transcript", responses={**TRANSCRIPT, **RESULT_PROBLEMS}, summary="Get the transcript")
async def get_transcript(
    job_id: FromPath[str],
    services: NamedDependency[Services],
    format: Format = "json",  # noqa: A002 - the contract's name
) -> Response[bytes]:
    """The transcript of a COMPLETED job; times are seconds."""
    job = await services.jobs.get_results(LOCAL_TENANT, job_id)
    stored = await read_transcript(services.blobs, job)
    if format == "json":
        return Response(stored, media_type="application/json")
    media_type, _ = RENDERERS[format]
    return Response(await asyncio.to_thread(_render, stored, format), media_type=media_type)


def _render(stored: bytes, wanted: str) -> bytes:
    """In a thread: a day of speech takes long enough to hold up the event loop."""
    _, render = RENDERERS[wanted]
    return render(msgspec.json.decode(stored, type=Transcript)).encode()
