"""Send spans to a collector by OTLP, in batches and from a separate thread. Imports the extra `otel`."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags, set_span_in_context

from shared.telemetry.traces import Span

SERVICE = "headrace-processor"
TIMEOUT_S = 5.0  # per batch; an unavailable collector costs no more than its spans


@contextmanager
def sending_spans(otlp_url: str) -> Iterator["SentSpans"]:
    """Send spans to `<otlp_url>/v1/traces` during the block. The end of the block waits for pending ones."""
    spans = SentSpans(otlp_url)
    try:
        yield spans
    finally:
        spans.provider.shutdown()


class _Ids(IdGenerator):
    """Returns the ids that our spans already have."""

    trace_id = span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class SentSpans:
    """Implements `shared.telemetry.traces.Spans`, for one thread."""

    def __init__(self, otlp_url: str) -> None:
        self._ids = _Ids()
        exporter = OTLPSpanExporter(otlp_url.rstrip("/") + "/v1/traces", timeout=TIMEOUT_S)
        self.provider = TracerProvider(
            resource=Resource.create({"service.name": SERVICE}), id_generator=self._ids, shutdown_on_exit=False
        )
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self.provider.get_tracer("headrace")

    def send(self, span: Span) -> None:
        """Add a span to the next batch."""
        self._ids.trace_id, self._ids.span_id = span.job_id.int, span.id
        attributes = {"headrace.job_id": str(span.job_id), **span.attributes}
        sent = self._tracer.start_span(span.name, _below(span), attributes=attributes, start_time=span.began_ns)
        if span.failed:
            sent.set_status(StatusCode.ERROR)
        sent.end(span.ended_ns)


def _below(span: Span) -> Context:
    """The context of the parent; an empty one for the first span of a trace."""
    if span.parent_id is None:
        return Context()
    parent = SpanContext(span.job_id.int, span.parent_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(parent), Context())
