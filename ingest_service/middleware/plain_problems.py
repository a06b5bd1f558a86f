"""Problem answers made without the framework: for requests that are refused before it gets to see them."""

from functools import cache
from http import HTTPStatus
from typing import NamedTuple

import msgspec
from litestar.types import Send

from ingest_service.middleware.problems import PROBLEMS
from ingest_service.middleware.security_headers import secured_headers
from shared.schemas.api import Problem

DETAILS = {
    "head_too_large": "The request line and headers are too long, or too many.",
    "unsupported_upgrade": "Send the body over HTTP/1.1, without Upgrade.",
    "request_stalled": "The head of the request did not arrive in time.",
    "invalid_request": "This is not HTTP as it is written.",
    "unsupported_content_encoding": "Send the body as it is, without Content-Encoding.",
    "unsupported_transfer_encoding": "The only Transfer-Encoding that is taken is chunked.",
}
HEADERS = {"unsupported_content_encoding": [(b"accept-encoding", b"identity")]}  # RFC 9110 section 15.5.16


class PlainProblem(NamedTuple):
    """An answer with everything but the words `Connection: close`."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    async def send(self, send: Send) -> None:
        """As the answer of an ASGI application."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})

    def last_bytes(self) -> bytes:
        """As it stands on the wire, ending the connection."""
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}".encode()]
        lines += [name + b": " + value for name, value in [*self.headers, (b"connection", b"close")]]
        return b"\r\n".join([*lines, b"", self.body])


@cache
def plain_problem(code: str) -> PlainProblem:
    """The answer for a code of the table that has a detail here."""
    status, title = PROBLEMS[code]
    body = msgspec.json.encode(Problem(title=title, status=status, code=code, detail=DETAILS[code]))
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        *HEADERS.get(code, []),
    ]
    return PlainProblem(status, secured_headers(headers), body)
