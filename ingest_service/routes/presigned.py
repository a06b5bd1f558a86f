"""`POST /v1/uploads/presigned`: a URL of the bucket, so that the audio does not pass through this service."""

from litestar import Response, post
from litestar.di import NamedDependency

from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.openapi.uploads import PRESIGNED
from ingest_service.services import Services
from ingest_service.uploads.presigned_uploads import PATH
from shared.schemas.api import DirectUpload


@post(PATH, responses=PRESIGNED, status_code=201, opt=needs(Scope.SUBMIT), summary="Get a URL to upload to")
async def create_presigned(
    caller: NamedDependency[Caller], services: NamedDependency[Services]
) -> Response[DirectUpload]:
    """Put the audio at `url` with those `headers`, then submit `{"upload_id": …}` to `/v1/jobs` within a day."""
    upload = await services.direct.create(caller.tenant)
    return Response(upload, status_code=201, headers={"Cache-Control": "no-store"})
