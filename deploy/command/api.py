"""Requests to the service: the address, the key, and repeats of what failed for a while."""

import asyncio
import datetime as dt
import ipaddress
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx
import msgspec

from deploy.command.errors import ApiError, CommandError, UnreachableError, UsageError
from deploy.command.retries import ONCE, Retries, parse_retry_after
from shared.schemas.api import Problem
from shared.secret import Secret

DEFAULT_URL = "http://127.0.0.1:8000"
NOTED_AT = 2  # attempts before an outage is shown
TIMEOUT = httpx.Timeout(60, connect=10, pool=None)
ALIVE = b'"alive"'
MOST_BYTES = 256 << 20  # of an answer; the transcript of a day has about 15 MiB
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
T = TypeVar("T")


class Api:
    """One service. `note` shows a line about an outage to the person."""

    def __init__(self, http: httpx.AsyncClient, retries: Retries, note: Callable[[str], None]) -> None:
        self.http = http
        self.retries = retries
        self._note = note
        self._is_noted = False

    async def send(self, method: str, path: str, *, retries: Retries | None = None, **request: Any) -> httpx.Response:
        """Send a request, again after temporary failures. The caller makes sure that a repeat does no harm.

        Raise ApiError or UnreachableError.
        """
        began_s, attempt = time.monotonic(), 0
        while True:
            try:
                return await self.send_once(method, path, **request)
            except CommandError as error:
                wait_s = (retries or self.retries).wait_s(error, attempt, time.monotonic() - began_s)
                if wait_s is None:
                    raise
                self.note_outage(error, attempt)
                attempt += 1
                await asyncio.sleep(wait_s)

    async def send_once(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request. Raise ApiError or UnreachableError."""
        try:
            async with self.http.stream(method, path, **request) as streamed:
                answer = await _whole(streamed)
        except httpx.RequestError as error:
            raise unreachable(self.address, error) from error
        if answer.status_code >= 300:  # redirects are not followed: the key is for this address
            raise problem_of(answer)
        self._is_noted = False
        return answer

    def note_outage(self, error: CommandError, attempt: int) -> None:
        """Show an outage that lasts, once."""
        if attempt >= NOTED_AT and not self._is_noted:
            self._is_noted = True
            self._note(f"{error} Trying again.")

    async def get(self, kind: type[T], path: str, **request: Any) -> T:
        """GET a JSON resource. Raise ApiError or UnreachableError."""
        return decode(await self.send("GET", path, **request), kind)

    @property
    def address(self) -> str:
        """The address without credentials."""
        return shown_url(str(self.http.base_url))


async def _whole(streamed: httpx.Response) -> httpx.Response:
    """Return the answer with its body. Raise ApiError if that is larger than any transcript."""
    body = bytearray()
    async for piece in streamed.aiter_bytes():
        body += piece
        if len(body) > MOST_BYTES:
            raise unexpected(streamed, f"more than {MOST_BYTES >> 20} MiB")
    decoded = {"content-encoding", "content-length", "transfer-encoding"}
    headers = [header for header in streamed.headers.multi_items() if header[0] not in decoded]
    return httpx.Response(streamed.status_code, headers=headers, content=bytes(body), request=streamed.request)


def unexpected(answer: httpx.Response, what: str) -> ApiError:
    """Return the error of an answer that is none of Headrace's."""
    return ApiError(answer.status_code, "unexpected_answer", f"Unexpected answer of the service: {what}")


def checked_id(answer: httpx.Response, text: str) -> str:
    """Return the id that an answer contains, which later becomes a part of paths. Raise ApiError."""
    if not ID.fullmatch(text):
        raise unexpected(answer, "no valid id")
    return text


def decode(answer: httpx.Response, kind: type[T]) -> T:
    """Decode an answer's JSON. Raise ApiError: the answer is none of Headrace's."""
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except msgspec.MsgspecError as error:
        raise unexpected(answer, str(error)) from error


def problem_of(answer: httpx.Response) -> ApiError:
    """Return the error that an answer describes. HEAD has no body, proxies answer otherwise: then by its status."""
    after_s = parse_retry_after(answer.headers.get("retry-after"), dt.datetime.now(dt.UTC))
    try:
        problem = msgspec.json.decode(answer.content, type=Problem)
    except msgspec.MsgspecError:
        return ApiError(
            answer.status_code, f"http_{answer.status_code}", f"The service answers {answer.status_code}.", after_s
        )
    return ApiError(answer.status_code, problem.code, problem.detail or problem.title, after_s)


def unreachable(address: str, error: httpx.RequestError) -> UnreachableError:
    """Return the error of a connection that was refused or broke."""
    return UnreachableError(f"{address} does not answer ({str(error) or type(error).__name__}).")


@asynccontextmanager
async def opened_api(url: str, key: Secret, *, retries: Retries, note: Callable[[str], None]) -> AsyncIterator[Api]:
    """Open connections to the service during a block. The key is sent to this address only."""
    headers = {"Authorization": f"Bearer {key.reveal()}"} if key else {}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    through_proxy = not is_loopback(urlsplit(url).hostname or "")
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=TIMEOUT, limits=limits, trust_env=through_proxy
    ) as http:
        yield Api(http, retries, note)


async def answers(url: str, *, as_headrace: bool) -> bool:
    """Whether a server answers at the URL; `as_headrace`: one that says what Headrace's /health/live says."""
    async with opened_api(url, Secret(""), retries=ONCE, note=lambda _: None) as api:
        try:
            answer = await api.send_once("GET", "/health/live", timeout=5)
        except ApiError:
            return not as_headrace
        except UnreachableError:
            return False
        return ALIVE in answer.content or not as_headrace


def checked_url(text: str) -> str:
    """Return the base URL that a person means: without a slash or `/v1` at the end. Raise UsageError."""
    try:
        parts = urlsplit(text.strip())
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        valid = valid and bool(httpx.URL(text.strip()).host)  # raises also if the name is no international one
    except (ValueError, httpx.InvalidURL):
        valid = False
    if not valid:
        raise UsageError("The address of the service must be http://… or https://….")
    path = parts.path.rstrip("/").removesuffix("/v1")
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def shown_url(url: str) -> str:
    """Return a URL without credentials, query and fragment, which may be secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", "")).rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine. A proxy of the environment cannot reach it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
