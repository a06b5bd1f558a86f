"""Trace each attempt at a task as a span of its job's trace, with the steps of its child process below it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from uuid import UUID

from processor_service.compute import messages
from shared.schemas.states import TaskKind
from shared.telemetry.traces import Span, Spans, Traces, first_span_id, new_span_id, ns_ago

NAMES: dict[type, str] = {
    messages.SplitSource: "decode",
    messages.ProcessChunk: "transcribe and denoise",
    messages.DenoiseChunk: "denoise",
    messages.EncodePieces: "encode for remote engines",
    messages.FindVoices: "find voices",
    messages.FindTurns: "find turns",
    messages.EmbedSample: "embed a voice",
    messages.JoinDenoised: "join",
}


class Attempt:
    """A running attempt at a task."""

    def __init__(self, spans: Spans, job_id: UUID, kind: TaskKind, attributes: dict[str, str | int]) -> None:
        self._spans = spans
        self._job_id = job_id
        self._kind = kind
        self._attributes = attributes
        self._id = new_span_id()
        self._began_ns = ns_ago(0)
        self.outcome = "unknown"

    def did(self, name: str, took_s: float) -> None:
        """Send the span of a step that has just ended."""
        self._send(name, new_span_id(), self._id, ns_ago(took_s))

    def ended(self) -> None:
        """Send the span of the attempt."""
        self._attributes["headrace.outcome"] = self.outcome
        self._send(self._kind, self._id, first_span_id(self._job_id), self._began_ns, self._attributes)

    def _send(
        self, name: str, own_id: int, parent_id: int, began_ns: int, attributes: dict[str, str | int] | None = None
    ) -> None:
        self._spans.send(
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
CURRENT_ATTEMPT: ContextVar[Attempt | None] = ContextVar("headrace_attempt", default=None)


def attempts_traced(otlp_url: str, sample: float) -> AbstractContextManager[None]:
    """Send the spans of the fraction `sample` of all jobs while the block runs; of none without a URL."""
    if not otlp_url:
        return nullcontext()
    from shared.telemetry.otlp import sending_spans  # needs the extra `otel`

    return TRACES.opened(sending_spans(otlp_url, "headrace-processor"), sample)


@contextmanager
def attempt_traced(job_id: UUID, kind: TaskKind, attributes: dict[str, str | int]) -> Iterator[None]:
    """Trace the block as an attempt at a task of a job."""
    if (spans := TRACES.of(job_id)) is None:
        yield
        return
    attempt = Attempt(spans, job_id, kind, attributes)
    token = CURRENT_ATTEMPT.set(attempt)
    try:
        yield
    finally:
        CURRENT_ATTEMPT.reset(token)
        attempt.ended()


def note_outcome(outcome: str) -> None:
    """Note how the current attempt ended."""
    if attempt := CURRENT_ATTEMPT.get():
        attempt.outcome = outcome


def note_answer(request: messages.Request, took_s: float) -> None:
    """Trace a request of the current attempt that a child process answered."""
    if attempt := CURRENT_ATTEMPT.get():
        attempt.did(NAMES.get(type(request), type(request).__name__), took_s)
