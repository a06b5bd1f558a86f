"""Trace an accepted upload: it is the first span of its job's trace, and its commit is the second."""

from contextlib import AbstractContextManager, nullcontext

from ingest_service.request_record import RequestRecord
from shared.telemetry.traces import Span, Spans, Traces, first_span_id, new_span_id, ns_ago

TRACES = Traces()


def uploads_traced(otlp_url: str, sample: float) -> AbstractContextManager[None]:
    """Send the spans of the fraction `sample` of all jobs while the block runs; of none without a URL."""
    if not otlp_url:
        return nullcontext()
    from shared.telemetry.otlp import sending_spans  # needs the extra `otel`

    return TRACES.opened(sending_spans(otlp_url, "headrace-ingest"), sample)


def trace_upload(record: RequestRecord, request_id: str) -> None:
    """Send the spans of an upload that ended. A refused upload has none."""
    job_id = record.accepted_job
    if job_id is None or (spans := TRACES.of(job_id)) is None:
        return
    upload = Span(
        job_id=job_id,
        name="upload",
        id=first_span_id(job_id),
        parent_id=None,
        began_ns=ns_ago(record.elapsed_s()),
        ended_ns=ns_ago(0),
        attributes={
            "headrace.request_id": request_id,
            "headrace.client_wait_s": round(record.waited_s, 6),
            "headrace.store_s": round(record.store_s(), 6),
            **({"http.response.status_code": record.status} if record.status else {}),  # an answer may wait for its job
        },
    )
    spans.send(upload)
    if record.commit_began_s is not None:
        _trace_commit(spans, upload, record.commit_began_s - record.began_s, record.commit_s)


def _trace_commit(spans: Spans, upload: Span, began_after_s: float, took_s: float) -> None:
    began_ns = upload.began_ns + round(began_after_s * 1e9)
    commit = Span(
        job_id=upload.job_id,
        name="commit",
        id=new_span_id(),
        parent_id=upload.id,
        began_ns=began_ns,
        ended_ns=began_ns + round(took_s * 1e9),
        attributes={},
    )
    spans.send(commit)
