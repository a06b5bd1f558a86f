"""Sends an exception's answer from outside of the framework, for requests that never reach it."""

import msgspec
from litestar.types import Send

from ingest_service.middleware.problems import problem_of


async def send_problem(send: Send, error: Exception) -> None:
    """The same answer that a route's exception gets."""
    problem = problem_of(error)
    body = msgspec.json.encode(problem.content)
    headers = [
        (b"content-type", b"application/problem+json"),
        *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": problem.status_code or 500, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
