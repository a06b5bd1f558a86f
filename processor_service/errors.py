"""The exceptions of the processor, and what each means for a task.

TaskError
├── PermanentError   the same input fails again: straight to the dead letter
├── TransientError   may go better next time: waits and is attempted again
└── ChildCrashError  the child process died under the task
"""

import traceback

from shared.blobs.blob_errors import BlobNotFoundError, BlobStoreError
from shared.schemas.failures import Failure, FailureCode

# What can be wrong with a client's audio, as coded sentences that the client understands: no path, no library's
# words.
#
# Every malformed file ends in an AudioError or in sound, never in another exception.


class AudioError(Exception):
    """The audio cannot be processed, and trying again would not help."""

    def __init__(self, code: FailureCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def undecodable() -> AudioError:
    return AudioError(FailureCode.UNDECODABLE_AUDIO, "The file is damaged or is not audio: no decoder can read it.")


def empty() -> AudioError:
    return AudioError(FailureCode.EMPTY_AUDIO, "The file is valid but holds no sound: its length is zero.")


def too_long(max_audio_s: float) -> AudioError:
    return AudioError(FailureCode.AUDIO_TOO_LONG, f"The audio is longer than the {max_audio_s:g} seconds allowed.")


def no_audio_track() -> AudioError:
    return AudioError(FailureCode.NO_AUDIO_TRACK, "The file has no audio track.")


def unsupported_codec() -> AudioError:
    return AudioError(FailureCode.UNSUPPORTED_CODEC, "The file's audio track uses a codec that is not supported.")


def unsupported_audio(message: str) -> AudioError:
    return AudioError(FailureCode.UNSUPPORTED_AUDIO, message)


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


# What can go wrong with a source that is fetched. The messages name no URL: its query may be somebody's secret.
#
# SourceBrokenError the connection broke or hung, or the server has no time: it may go on with another connection
# SourceChangedError what is there now is not what was begun, or nobody can tell: from the start All others are
# TaskErrors, and end the attempt.

SERVER = "The server of the `audio_url`"


class SourceBrokenError(Exception):
    """Says why after "The server of the `audio_url` …"; `failure` is the task's when no other connection helps."""

    def __init__(self, why: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.failure = unavailable(why, retry_after_s=retry_after_s)


class SourceChangedError(Exception):
    """Says why after "The server of the `audio_url` …"."""


def unavailable(why: str, *, retry_after_s: float | None = None) -> TransientError:
    """Another attempt may find it."""
    return TransientError(FailureCode.SOURCE_UNAVAILABLE, f"{SERVER} {why}.", retry_after_s=retry_after_s)


def blocked(why: str) -> PermanentError:
    """The URL, or one that it redirects to, is not where this service may connect to."""
    return PermanentError(FailureCode.SOURCE_BLOCKED, f"The `audio_url` is refused: {why}.")


def refused(why: str) -> PermanentError:
    """The server does not give it."""
    return PermanentError(FailureCode.SOURCE_REFUSED, f"{SERVER} {why}.")


def too_large(max_bytes: int) -> PermanentError:
    """More than an upload may have."""
    return PermanentError(FailureCode.SOURCE_TOO_LARGE, f"The source has more than {max_bytes} bytes.")
