"""`GET /v1/jobs/{job_id}/peaks` and `/work`: the waveform of a job's audio, and how the job is done."""

from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Stream

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.jobs.download_names import content_disposition, result_name
from ingest_service.jobs.results import find_peaks
from ingest_service.jobs.work import show_work
from ingest_service.openapi.document import ONE_JOB
from ingest_service.openapi.results import PEAKS
from ingest_service.routes.conditional import Validators, early_answer
from ingest_service.services import Services
from shared.schemas.api import JobWork
from shared.schemas.peaks import PeakLevel


@get(
    "/v1/jobs/{job_id:str}/peaks",
    responses=PEAKS,
    opt=needs(Scope.READ),
    operation_id="getPeaks",
    tags=["results"],
    summary="Get the waveform",
)
async def get_peaks(
    request: Request[Any, Any, Any],
    job_id: FromPath[str],
    caller: NamedDependency[Caller],
    services: NamedDependency[Services],
    level: FromQuery[PeakLevel] = "detail",
) -> Response[Any]:
    """The lowest and highest samples of each moment, of the original and the denoised audio alike.

    `detail` has 20 pairs a second, `overview` 2. A file of up to an hour has one level, which answers both. The peaks
    are there once the audio is decoded, before the job is COMPLETED. `ETag` identifies them, as it does transcripts.
    """
    job = await services.jobs.get_results(caller.tenant, job_id)
    blob = await find_peaks(services.blobs, job, level)
    current = Validators.of(blob)
    if early := early_answer(request.headers, current):
        return early
    named = content_disposition("inline", result_name(job.filename, job.job_id, "peaks.json"))
    headers = {"Content-Disposition": named, **current.headers(), "Content-Length": str(blob.size)}
    pieces = services.blobs.read(blob.key, 0, blob.size)  # a day of audio has up to 17 MB
    return Stream(pieces, media_type="application/json", headers=headers)


@get(
    "/v1/jobs/{job_id:str}/work",
    responses=ONE_JOB,
    opt=needs(Scope.READ),
    operation_id="getWork",
    tags=["jobs"],
    summary="Get the stages and tasks of a job",
)
async def get_work(
    job_id: FromPath[str], caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> JobWork:
    """How the job is done: its stages with their times, and at most 1,000 tasks with attempts, engines and errors.

    After a redrive or a repeated diarization, the tasks of the new attempt. Webhooks: see `/webhook-attempts`.
    """
    return await show_work(services.database, services.jobs, caller.tenant, job_id)


ROUTES = (get_peaks, get_work)
