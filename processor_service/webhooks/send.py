"""Sends one request to a webhook endpoint and takes in what little of the answer matters. Follows no redirect."""

import asyncio
import contextlib
from collections.abc import Mapping

import aiohttp
from yarl import URL

from processor_service.outbound.guard import TargetRefusedError
from processor_service.outbound.http_errors import why_broken
from processor_service.webhooks.results import Answer, Blocked, NoAnswer

SHOWN_BYTES = 500


async def send(
    http: aiohttp.ClientSession, url: URL, *, body: str, headers: Mapping[str, str], timeout_s: float
) -> Answer | NoAnswer | Blocked:
    """Post the body. Takes at most `timeout_s` in all, and raises for nothing that an endpoint can do."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    try:
        async with asyncio.timeout_at(deadline):
            response = await http.post(
                url,
                data=body.encode(),
                headers={**headers, "accept-encoding": "identity"},
                allow_redirects=False,
            )
    except TargetRefusedError as error:
        return Blocked(f"its host is at {error}")
    except aiohttp.InvalidURL:
        return Blocked("it names no host")
    except (aiohttp.ClientError, OSError) as error:
        return NoAnswer(f"{why_broken(error)}.")
    try:
        start = await _start_of(response, deadline)
    finally:
        response.close()
    return Answer(status=response.status, retry_after=response.headers.get("retry-after"), text=harmless(start))


async def _start_of(response: aiohttp.ClientResponse, deadline: float) -> bytes:
    """Read to the end, so that an endpoint of good manners can finish; that it breaks off or stalls is no matter."""
    start = b""
    with contextlib.suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout_at(deadline):
            async for piece in response.content.iter_any():
                start += piece[: SHOWN_BYTES - len(start)]
    return start


def harmless(answer: bytes) -> str:
    """Text that a database can hold and a terminal can show."""
    text = answer.decode(errors="replace")
    return "".join(one if one.isprintable() or one in "\n\t" else "\N{REPLACEMENT CHARACTER}" for one in text)
