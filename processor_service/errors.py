"""The exceptions of the processor, and what each means for a task.

TaskError
├── PermanentError   the same input fails again: straight to the dead letter
├── TransientError   may go better next time: waits and is attempted again
└── ChildCrashError  the child process died under the task
"""

import traceback

from shared.blobs.blob_errors import BlobNotFoundError, BlobStoreError
from shared.schemas.failures import Failure, FailureCode


class TaskError(Exception):
    """A coded failure; `message` is for the client."""

    transient = False

    def __init__(self, code: FailureCode, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s


class PermanentError(TaskError):
    """Trying again cannot help."""


class TransientError(TaskError):
    """Trying again may help."""

    transient = True


class ChildCrashError(Exception):
    """The compute child died (a native crash, out of memory) while it worked on a task."""


def failure_of(error: BaseException) -> Failure:
    """What to store about an exception that ended an attempt."""
    trace = "".join(traceback.format_exception(error))[-8000:]
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
            message = "A part of the service did not answer in time."
            return Failure(code=FailureCode.TIMEOUT, message=message, transient=True, traceback=trace)
        case BlobNotFoundError():
            message = "The stored audio is no longer there."
            return Failure(code=FailureCode.SOURCE_MISSING, message=message, traceback=trace)
        case BlobStoreError():
            message = "The storage did not answer."
            return Failure(code=FailureCode.STORAGE_UNAVAILABLE, message=message, transient=True, traceback=trace)
        case _:
            message = "An internal error stopped the processing."
            return Failure(code=FailureCode.INTERNAL, message=message, transient=True, traceback=trace)
