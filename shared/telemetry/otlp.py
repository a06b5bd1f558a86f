"""Send spans to a collector by OTLP over HTTP, in batches, from a thread of their own.

This module needs the extra `otel`. Import it only when spans are to be sent.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags, set_span_in_context

from shared.telemetry.traces import Span, Spans

TIMEOUT_S = 5.0  # for one batch; a collector that does not answer costs its spans and nothing else


@contextmanager
def sending_spans(otlp_url: str, service_name: str) -> Iterator[Spans]:
    """Send spans to `<otlp_url>/v1/traces` while the block runs. The end of the block waits for the last batch."""
    ids = _GivenIds()
    provider = TracerProvider(
        resource=Resource.create({"service.name": service_name}), id_generator=ids, shutdown_on_exit=False
    )
    exporter = OTLPSpanExporter(otlp_url.rstrip("/") + "/v1/traces", timeout=TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield _SpanSender(provider, ids)
    finally:
        provider.shutdown()


class _GivenIds(IdGenerator):
    """Our spans have their ids already."""

    trace_id = span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class _SpanSender:
    """Implements `Spans`. Not thread-safe."""

    def __init__(self, provider: TracerProvider, ids: _GivenIds) -> None:
        self._ids = ids
        self._tracer = provider.get_tracer("headrace")

    def send(self, span: Span) -> None:
        """Add the span to the next batch."""
        self._ids.trace_id, self._ids.span_id = span.job_id.int, span.id
        attributes = {"headrace.job_id": str(span.job_id), **span.attributes}
        sent = self._tracer.start_span(
            span.name, _parent_context(span), attributes=attributes, start_time=span.began_ns
        )
        if span.failed:
            sent.set_status(StatusCode.ERROR)
        sent.end(span.ended_ns)


def _parent_context(span: Span) -> Context:
    """The first span of a trace gets an empty context."""
    if span.parent_id is None:
        return Context()
    parent = SpanContext(span.job_id.int, span.parent_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(parent), Context())
