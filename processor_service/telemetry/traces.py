"""Tells of each attempt at a task as a span of its job's trace, with what the compute child did below it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from uuid import UUID

from processor_service.compute.messages import (
    DenoiseChunk,
    EncodePieces,
    FindTurns,
    FindVoices,
    JoinDenoised,
    ProcessChunk,
    Request,
    SplitSource,
)
from shared.schemas.states import TaskKind
from shared.telemetry.traces import Span, Spans, Traces, first_span_id, new_span_id, ns_ago

NAMES: dict[type, str] = {
    SplitSource: "decode",
    ProcessChunk: "transcribe and denoise",
    DenoiseChunk: "denoise",
    EncodePieces: "encode for remote engines",
    FindVoices: "find voices",
    FindTurns: "find turns",
    JoinDenoised: "join",
}


class Attempt:
    """An attempt at a task that is under way."""

    def __init__(self, spans: Spans, job_id: UUID, kind: TaskKind, attributes: dict[str, str | int]) -> None:
        self._spans = spans
        self._job_id = job_id
        self._kind = kind
        self._attributes = attributes
        self._id = new_span_id()
        self._began_ns = ns_ago(0)
        self.outcome = "unknown"

    def did(self, name: str, took_s: float) -> None:
        """A step of it has just ended."""
        self._tell(name, new_span_id(), self._id, ns_ago(took_s))

    def ended(self) -> None:
        """It is over."""
        self._attributes["headrace.outcome"] = self.outcome
        self._tell(self._kind, self._id, first_span_id(self._job_id), self._began_ns, self._attributes)

    def _tell(
        self, name: str, own_id: int, parent_id: int, began_ns: int, attributes: dict[str, str | int] | None = None
    ) -> None:
        self._spans.tell(
            Span(
                job_id=self._job_id,
                name=name,
                id=own_id,
                parent_id=parent_id,
                began_ns=began_ns,
                ended_ns=ns_ago(0),
                attributes=attributes or {},
                failed=attributes is not None and self.outcome in ("failed", "crashed"),
            )
        )


TRACES = Traces()
AT_HAND: ContextVar[Attempt | None] = ContextVar("headrace_attempt", default=None)


def attempts_traced(otlp_url: str, sample: float) -> AbstractContextManager[None]:
    """Send the spans of `sample` of all jobs while the block runs; none without a URL."""
    if not otlp_url:
        return nullcontext()
    from processor_service.telemetry.send_spans import sending_spans

    return TRACES.opened(sending_spans(otlp_url), sample)


@contextmanager
def attempt_traced(job_id: UUID, kind: TaskKind, attributes: dict[str, str | int]) -> Iterator[None]:
    """What the block does is an attempt at a task of a job."""
    if (spans := TRACES.of(job_id)) is None:
        yield
        return
    attempt = Attempt(spans, job_id, kind, attributes)
    token = AT_HAND.set(attempt)
    try:
        yield
    finally:
        AT_HAND.reset(token)
        attempt.ended()


def note_outcome(outcome: str) -> None:
    """How the attempt at hand ended."""
    if attempt := AT_HAND.get():
        attempt.outcome = outcome


def note_answer(request: Request, took_s: float) -> None:
    """A compute child answered a request of the attempt at hand."""
    if attempt := AT_HAND.get():
        attempt.did(NAMES.get(type(request), type(request).__name__), took_s)
