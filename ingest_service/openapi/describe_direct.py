"""What the OpenAPI document says of presigned uploads."""

from litestar.openapi import ResponseSpec
from litestar.openapi.spec import Example

from ingest_service.openapi.document import AWAY, EXAMPLE_JOB_ID, Specs, problems
from shared.schemas.api import DirectUpload

EXAMPLE_UPLOAD_ID = EXAMPLE_JOB_ID
_EXAMPLE = {
    "upload_id": EXAMPLE_UPLOAD_ID,
    "url": f"https://s3.example.com/headrace/direct/{EXAMPLE_UPLOAD_ID}?X-Amz-Signature=…",
    "method": "PUT",
    "headers": {},
    "expires_at": "2026-11-21T21:00:00Z",
}
PRESIGNED: Specs = {
    201: ResponseSpec(
        DirectUpload,
        generate_examples=False,
        description="Where to put the audio",
        examples=[Example(id="s3", value=_EXAMPLE)],
    ),
    **AWAY,
    **problems("no_direct_uploads", "quota_exceeded", "rate_limited"),
}
