"""A trace collector that speaks OTLP over HTTP and keeps the received spans."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import msgspec
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent
from opentelemetry.proto.trace.v1.trace_pb2 import Status


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """A received span."""

    service: str
    trace: UUID
    name: str
    id: bytes
    parent_id: bytes
    began_ns: int
    ended_ns: int
    failed: bool
    attributes: dict[str, str | int | float]


class Collector:
    """Listens on a free loopback port."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Collected] = []

    def of(self, job_id: str) -> list[Collected]:
        return [span for span in self.spans if span.trace == UUID(job_id)]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Collector"]:
        app = web.Application()
        app.add_routes([web.post("/v1/traces", self._take)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            names = {one.key: one.value.string_value for one in of_resource.resource.attributes}
            for scope in of_resource.scope_spans:
                self.spans += [_collected(names["service.name"], span) for span in scope.spans]
        return web.Response(body=b"", content_type="application/x-protobuf")


def _collected(service: str, span: Sent) -> Collected:
    return Collected(
        service=service,
        trace=UUID(bytes=span.trace_id),
        name=span.name,
        id=span.span_id,
        parent_id=span.parent_span_id,
        began_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes={one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in span.attributes},
    )
