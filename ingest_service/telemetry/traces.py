"""Tells of an accepted upload as the first span of its job's trace, with the commit below it."""

from contextlib import AbstractContextManager, nullcontext

from ingest_service.request_record import RequestRecord
from shared.telemetry.traces import Span, Traces, first_span_id, new_span_id, ns_ago

TRACES = Traces()


def uploads_traced(otlp_url: str, sample: float) -> AbstractContextManager[None]:
    """Send the spans of `sample` of all jobs while the block runs; none without a URL."""
    if not otlp_url:
        return nullcontext()
    from ingest_service.telemetry.send_spans import sending_spans

    return TRACES.opened(sending_spans(otlp_url), sample)


def trace_upload(record: RequestRecord, request_id: str) -> None:
    """An upload ended; one that was refused has no trace."""
    job_id = record.accepted_job
    if job_id is None or (spans := TRACES.of(job_id)) is None:
        return
    first_id, began_ns = first_span_id(job_id), ns_ago(record.elapsed_s())
    upload = Span(
        job_id=job_id,
        name="upload",
        id=first_id,
        parent_id=None,
        began_ns=began_ns,
        ended_ns=ns_ago(0),
        attributes={
            "headrace.request_id": request_id,
            "headrace.client_wait_s": round(record.waited_s, 6),
            "headrace.store_s": round(record.store_s(), 6),
            "http.response.status_code": record.status,
        },
    )
    spans.tell(upload)
    if record.commit_began_s is not None:
        began_ns += round((record.commit_began_s - record.began_s) * 1e9)
        ended_ns = began_ns + round(record.commit_s * 1e9)
        spans.tell(
            Span(
                job_id=job_id,
                name="commit",
                id=new_span_id(),
                parent_id=first_id,
                began_ns=began_ns,
                ended_ns=ended_ns,
                attributes={},
            )
        )
