"""Facts about the current request, for its log line, headers and metrics. Any code may note a fact.

Outside of a request, notes are dropped. So use cases do not depend on a request.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from uuid import UUID


class RequestRecord:
    """One request. Times are seconds of `time.perf_counter`."""

    __slots__ = ("accepted_job", "began_s", "commit_began_s", "commit_s", "end_upload", "problem", "status", "waited_s")

    def __init__(self) -> None:
        self.began_s = time.perf_counter()
        self.waited_s = 0.0  # for bytes of the client
        self.commit_began_s: float | None = None
        self.commit_s = 0.0
        self.status = 0  # of the answer; 0: no answer yet
        self.problem: str | None = None  # a code of PROBLEM_TYPES
        self.accepted_job: UUID | None = None
        self.end_upload: Callable[[], None] = lambda: None  # counts the upload; a repeat changes nothing

    def elapsed_s(self) -> float:
        """Return the time since the request's head was read."""
        return time.perf_counter() - self.began_s

    def store_s(self) -> float:
        """Return the time before the commit, without waiting for the client: parsing, hashing, storing."""
        if self.commit_began_s is None:
            return 0.0
        return max(0.0, self.commit_began_s - self.began_s - self.waited_s)


CURRENT_REQUEST: ContextVar[RequestRecord | None] = ContextVar("headrace_request_record", default=None)


def note_problem(code: str) -> None:
    """Note the problem code of the answer."""
    if record := CURRENT_REQUEST.get():
        record.problem = code


def note_accepted(job_id: UUID) -> None:
    """Note the job that the upload became."""
    if record := CURRENT_REQUEST.get():
        record.accepted_job = job_id


def note_upload_ended() -> None:
    """Note that the upload is complete although its answer waits."""
    if record := CURRENT_REQUEST.get():
        record.end_upload()


class Committing:
    """Measures the block: the commit of an upload whose audio is stored."""

    def __enter__(self) -> None:
        self._record = CURRENT_REQUEST.get() or RequestRecord()
        self._record.commit_began_s = self._began_s = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._record.commit_s = time.perf_counter() - self._began_s
