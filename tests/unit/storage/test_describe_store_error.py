"""Descriptions of store errors contain status and code, and nothing that a server may have echoed."""

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError

from shared.blobs.blob_errors import describe

PERFORMING = "Generic S3 error: Error performing PUT http://host/key?uploadId=17&X-Amz-Signature=ab in 2ms"
ECHO = (
    "<Error><Code>SignatureDoesNotMatch</Code><CanonicalRequest>x-amz-security-token:t0ken\n</CanonicalRequest></Error>"
)


@pytest.mark.parametrize(
    ("error", "description"),
    [
        (
            PermissionDeniedError(
                f"{PERFORMING} - Server returned non-2xx status code: 403 Forbidden: <?xml?>\n{ECHO}"
            ),
            "PermissionDeniedError: PUT was answered with 403 Forbidden (SignatureDoesNotMatch)",
        ),
        (
            GenericError(
                f"{PERFORMING}, after 3 retries - Server returned non-2xx status code: 507 Insufficient Storage: "
            ),
            "GenericError: PUT was answered with 507 Insufficient Storage",
        ),
        (
            GenericError(f"{PERFORMING} - Server returned error response: <Error><Code>InternalError</Code></Error>"),
            "GenericError: PUT was answered with an error (InternalError)",
        ),
        (
            GenericError(f"{PERFORMING} - HTTP error: error sending\n\nDebug source:\nGeneric {{ t0ken }}"),
            "GenericError: Generic S3 error: Error performing PUT http://host/key in 2ms - HTTP error: error sending",
        ),
        (OSError(28, "No space left on device"), "OSError: [Errno 28] No space left on device"),
        (OSError(), "OSError: "),
    ],
)
def test_only_status_and_code_are_described(error: Exception, description: str) -> None:
    assert describe(error) == description
