"""The S3 server as one of GCS' XML API, which is that of S3 under other names: for the part of obstore that speaks it.

No package carries a server that has all of that API: those that are there answer uploads by it, or in parts, with 400.
So this is no word of how Google's own behaves, and nothing is asked of who calls.
"""

import contextlib
from collections.abc import AsyncIterator
from io import BytesIO
from urllib.parse import parse_qsl, quote, unquote

import aiohttp
from aiohttp import web
from yarl import URL

from tests.storage.bucket import canonical_query, signed
from tests.storage.front import answering, kept_headers

PASSED_ON = ("range", "content-type", "content-disposition")


class GcsFront:
    """Hands requests on to `upstream`, signed."""

    def __init__(self, upstream: str) -> None:
        self.url = ""
        self._upstream = upstream
        self._client: aiohttp.ClientSession

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["GcsFront"]:
        async with answering(self._answer) as (self.url, self._client):
            yield self

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        path, _, query = request.raw_path.partition("?")
        named = canonical_query(dict(parse_qsl(query, keep_blank_values=True)))
        url = f"{self._upstream}{quote(unquote(path))}" + (f"?{named}" if named else "")
        sent = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        asked = self._client.request(
            request.method,
            URL(url, encoded=True),
            data=BytesIO(body),
            headers={**sent, **signed(request.method, url, body, _in_s3s_words(request))},
            skip_auto_headers=["Content-Type"],
        )
        async with asked as answer:
            return web.Response(status=answer.status, headers=kept_headers(answer), body=await answer.read())


def _in_s3s_words(request: web.Request) -> dict[str, str]:
    source = request.headers.get("x-goog-copy-source")
    return {"x-amz-copy-source": "/" + source.lstrip("/")} if source else {}
