"""What can go wrong with a source that is fetched. The messages name no URL: its query may be somebody's secret.

SourceBrokenError    the connection broke or hung, or the server has no time: it may go on with another connection
SourceChangedError   what is there now is not what was begun, or nobody can tell: from the start
All others are TaskErrors, and end the attempt.
"""

from processor_service.errors import PermanentError, TransientError
from shared.schemas.failures import FailureCode

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
