"""The failure to store for an exception that ended an attempt."""

import traceback

from processor_service.errors import TaskError, storage_full
from shared.blobs.blob_errors import BlobNotFoundError, BlobStoreError, BlobStoreFullError
from shared.disk_reserve import is_full
from shared.schemas.failures import Failure, FailureCode
from shared.telemetry.redact import redact

TRACEBACK_CHARS = 8000  # the end of a stored traceback


def failure_of(error: BaseException) -> Failure:
    """Return the failure to store for an exception that ended an attempt."""
    trace = redact("".join(traceback.format_exception(error)))[-TRACEBACK_CHARS:]
    if isinstance(error, BlobStoreFullError) or is_full(error):
        error = storage_full().with_traceback(error.__traceback__)
    match error:
        case TaskError():
            return Failure(
                code=error.code,
                message=error.message,
                transient=error.transient,
                retry_after_s=error.retry_after_s,
                traceback=trace,
            )
        case TimeoutError():
            message = "A component of the service did not answer in time."
            return Failure(code=FailureCode.TIMEOUT, message=message, transient=True, traceback=trace)
        case BlobNotFoundError():
            message = "The stored audio no longer exists."
            return Failure(code=FailureCode.SOURCE_MISSING, message=message, traceback=trace)
        case BlobStoreError():
            message = "The blob store did not answer."
            return Failure(code=FailureCode.STORAGE_UNAVAILABLE, message=message, transient=True, traceback=trace)
        case _:
            message = "An internal error stopped the processing."
            return Failure(code=FailureCode.INTERNAL, message=message, transient=True, traceback=trace)
