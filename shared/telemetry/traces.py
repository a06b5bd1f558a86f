"""Spans of a job's trace. Each span is sent when it has ended; `otlp` sends them.

The trace id is the job's id, and the id of the first span is derived from it. So a task's row is all the context that a
span needs.
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

RANDOM_BITS = 56  # the last bits of an id, by which all services sample the same jobs


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A step that took time. Times are Unix times in nanoseconds."""

    job_id: UUID
    name: str
    id: int
    parent_id: int | None  # None: the first span of its trace
    began_ns: int
    ended_ns: int
    attributes: Mapping[str, str | int | float]
    failed: bool = False


class Spans(Protocol):
    """A destination of spans."""

    def send(self, span: Span) -> None:
        """Send the span later, or drop it. Return at once; raise nothing."""


class Traces:
    """The destination of a process's spans; closed at first."""

    def __init__(self) -> None:
        self._spans: Spans | None = None
        self._sample = 0.0

    @contextmanager
    def opened(self, sending: AbstractContextManager[Spans], sample: float) -> Iterator[None]:
        """Send the spans of the fraction `sample` of all jobs while the block runs."""
        with sending as spans:
            self._spans, self._sample = spans, sample
            try:
                yield
            finally:
                self._spans = None

    def of(self, job_id: UUID) -> Spans | None:
        """Return the destination of a job's spans; None if the job is not traced."""
        return self._spans if self._spans is not None and is_chosen(job_id, self._sample) else None


def first_span_id(job_id: UUID) -> int:
    """Return the id of the upload's span. All other spans of the job are below it."""
    return int.from_bytes(hashlib.blake2b(job_id.bytes, digest_size=8).digest()) or 1


def new_span_id() -> int:
    return secrets.randbits(64) or 1


def is_chosen(job_id: UUID, sample: float) -> bool:
    """Return whether a job is in the fraction `sample` of all jobs."""
    return (job_id.int & ((1 << RANDOM_BITS) - 1)) < sample * (1 << RANDOM_BITS)


def ns_ago(seconds: float) -> int:
    """Return the Unix time, in nanoseconds, that was `seconds` ago."""
    return time.time_ns() - round(seconds * 1e9)


def why_no_tracing(otlp_url: str) -> str | None:
    """Return what prevents tracing; None when spans can be sent or the URL is empty."""
    if otlp_url and not otlp_url.startswith(("http://", "https://")):
        return "HEADRACE_OTLP_URL is invalid: it must start with http:// or https://"
    if otlp_url and find_spec("opentelemetry") is None:
        return "HEADRACE_OTLP_URL needs OpenTelemetry: pip install --no-deps -r deploy/requirements-otel.txt"
    return None
