"""What is known of the request at hand: whoever learns something notes it; log line, headers and metrics tell of it.

Noting outside of a request goes nowhere, so that use cases need not know whether they serve one.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID


class RequestRecord:
    """One request. Times are seconds of `time.perf_counter`."""

    __slots__ = ("accepted_job", "began_s", "commit_began_s", "commit_s", "problem", "status", "waited_s")

    def __init__(self) -> None:
        self.began_s = time.perf_counter()
        self.waited_s = 0.0  # for the client's bytes
        self.commit_began_s: float | None = None
        self.commit_s = 0.0
        self.status = 0  # of the answer; 0 is none
        self.problem: str | None = None  # the code of `problems.PROBLEMS`
        self.accepted_job: UUID | None = None

    def elapsed_s(self) -> float:
        """Since the request's head was read."""
        return time.perf_counter() - self.began_s

    def store_s(self) -> float:
        """What passed before the commit and was not waiting for the client: parsing, hashing, storing."""
        if self.commit_began_s is None:
            return 0.0
        return max(0.0, self.commit_began_s - self.began_s - self.waited_s)


AT_HAND: ContextVar[RequestRecord | None] = ContextVar("headrace_request_record", default=None)


def note_problem(code: str) -> None:
    """The request is answered with this problem."""
    if record := AT_HAND.get():
        record.problem = code


def note_accepted(job_id: UUID) -> None:
    """The request's upload became this job."""
    if record := AT_HAND.get():
        record.accepted_job = job_id


@contextmanager
def committing() -> Iterator[None]:
    """The upload is stored, and is being recorded inside the block."""
    record = AT_HAND.get() or RequestRecord()
    record.commit_began_s = time.perf_counter()
    try:
        yield
    finally:
        record.commit_s = time.perf_counter() - record.commit_began_s
