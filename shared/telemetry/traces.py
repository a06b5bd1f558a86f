"""What happened to a job, as spans of one trace, each told when it has ended.

The trace has the job's id, and its first span an id that follows from it: whoever has a task's row has the context, and
nothing more needs to be carried. A library of the services sends the spans; see their `send_spans`.
"""

import hashlib
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import Protocol
from uuid import UUID

import msgspec

RANDOM_BITS = 56  # of an id, the last ones: by these all services choose the same jobs


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Something that took time. Times are nanoseconds of Unix time."""

    job_id: UUID
    name: str
    id: int
    parent_id: int | None  # None: the first of its trace
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, str | int | float]
    failed: bool = False


class Spans(Protocol):
    """Where spans go."""

    def tell(self, span: Span) -> None:
        """Send it, sooner or later, or drop it; returns at once and raises nothing."""


class Traces:
    """Where the spans of a process go: nowhere, until somebody opens it."""

    def __init__(self) -> None:
        self._spans: Spans | None = None
        self._sample = 0.0

    @contextmanager
    def opened(self, sending: AbstractContextManager[Spans], sample: float) -> Iterator[None]:
        """Send those of `sample` of all jobs while the block runs."""
        with sending as spans:
            self._spans, self._sample = spans, sample
            try:
                yield
            finally:
                self._spans = None

    def of(self, job_id: UUID) -> Spans | None:
        """Where the spans of a job go; None for one that is not traced."""
        return self._spans if self._spans is not None and is_chosen(job_id, self._sample) else None


def first_span_id(job_id: UUID) -> int:
    """Of the upload; every other span of the job is below it."""
    return int.from_bytes(hashlib.blake2b(job_id.bytes, digest_size=8).digest()) or 1


def new_span_id() -> int:
    return secrets.randbits(64) or 1


def is_chosen(job_id: UUID, sample: float) -> bool:
    """Whether a job is among the `sample` of all that are traced."""
    return (job_id.int & ((1 << RANDOM_BITS) - 1)) < sample * (1 << RANDOM_BITS)


def ns_ago(seconds: float) -> int:
    """The moment that was so long ago."""
    return time.time_ns() - round(seconds * 1e9)


def why_untraceable(otlp_url: str) -> str | None:
    """Why spans cannot be sent there, in a sentence; None when they can, or nobody wants them."""
    if otlp_url and not otlp_url.startswith(("http://", "https://")):
        return "HEADRACE_OTLP_URL is invalid: it begins with neither http:// nor https://"
    if otlp_url and find_spec("opentelemetry") is None:
        return "HEADRACE_OTLP_URL needs what is not installed: pip install --no-deps -r deploy/requirements-otel.txt"
    return None
