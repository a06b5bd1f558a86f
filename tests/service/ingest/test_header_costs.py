"""Every header that the ingest's code reads has a bounded cost, whatever it contains.

The headers come from the source: each text that looks like a header's name. The cost is counted in calls of functions,
which does not depend on the machine's speed.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

import ingest_service
from ingest_service.server.http_protocol import MAX_HEAD_BYTES
from ingest_service.settings import IngestSettings
from tests.support.ingest.raw_http import connected, until_closed
from tests.support.ingest.serving import Ingest, serving

HEADER = re.compile(r"[A-Za-z]{2,}(-[A-Za-z]+)+")
# The framework reads these, or a proxy may send them.
OTHERS = {"accept", "authorization", "cookie", "expect", "forwarded", "host", "origin", "prefer", "range", "referer"}
OTHERS |= {"accept-encoding", "accept-language", "baggage", "connection", "content-length", "te", "traceparent"}
OTHERS |= {"tracestate", "transfer-encoding", "upgrade", "user-agent", "via", "x-forwarded-for", "x-request-id"}
ROOM = MAX_HEAD_BYTES - 1000
REPEATED = ["a", ",", " ;", "=", '"', "a=b;", ';a="', "bytes=0-0,", "sha-256=:AAAA:,", "filename YQ==,", "*/*;q=0.1,"]
REQUESTS = ["POST /v1/jobs", "POST /v1/uploads", "GET /v1/jobs/x/events"]
MOST_CALLS = 30_000  # a request of no special headers has about 1,000; 550 digests of 30 MB had millions


def names_in_the_source() -> Iterator[str]:
    for path in Path(ingest_service.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
                if HEADER.fullmatch(text):
                    yield text.lower()


HEADERS = sorted(set(names_in_the_source()) | OTHERS)


def test_the_walk_finds_headers() -> None:
    assert {"content-digest", "repr-digest", "upload-metadata", "upload-checksum", "last-event-id"} <= set(HEADERS)


class Calls:
    """Counts the calls of functions during a block."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Self:
        self._before = sys.getprofile()
        sys.setprofile(self._event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)

    def _event(self, _: Any, event: str, __: Any) -> None:
        self.count += event in {"call", "c_call"}


async def calls_of(ingest: Ingest, line: str, header: str, value: str) -> int:
    host = "" if header == "host" else "Host: x\r\n"
    tus = "" if header == "tus-resumable" else "Tus-Resumable: 1.0.0\r\n"
    offset = "" if header == "upload-offset" else "Upload-Offset: 0\r\n"
    rest = "Content-Type: audio/wav\r\nConnection: close\r\n\r\n"
    head = f"{line} HTTP/1.1\r\n{host}{tus}{offset}{header}: {value}\r\n{rest}"
    async with connected(ingest) as (reader, writer):
        with Calls() as calls:
            writer.write(head.encode("latin-1"))
            answer = await until_closed(reader)
    assert answer.startswith(b"HTTP/1.1 "), (header, value[:20])
    assert not answer.startswith(b"HTTP/1.1 500"), (header, value[:20])
    return calls.count


@pytest.mark.parametrize("line", REQUESTS)
async def test_no_header_is_expensive(settings: IngestSettings, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.middleware.lingering_close.IDLE_WINDOW_S", 0.01)
    monkeypatch.setattr("ingest_service.server.http_protocol.CLOSE_AFTER_S", 0.01)
    async with serving(settings) as ingest:
        for header in HEADERS:
            if header in {"content-length", "transfer-encoding", "upgrade", "connection"}:
                continue  # the parser's own
            for repeated in REPEATED:
                value = repeated * (ROOM // len(repeated))
                assert await calls_of(ingest, line, header, value) < MOST_CALLS, (header, repeated)
