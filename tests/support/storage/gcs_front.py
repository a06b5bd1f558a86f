"""The S3 server behind GCS' XML API, which is S3's API with other names, to test the GCS client of obstore.

No packaged server supports the whole API: the existing ones answer uploads or multipart uploads with 400. This proxy
does not show how Google's server behaves, and it requires no credentials.
"""

import contextlib
from collections.abc import AsyncIterator
from io import BytesIO
from urllib.parse import parse_qsl, quote, unquote

import aiohttp
from aiohttp import web
from yarl import URL

from tests.support.storage.bucket import canonical_query, signed
from tests.support.storage.front import answering, kept_headers

FORWARDED = ("range", "content-type", "content-disposition")


class GcsFront:
    """Forwards requests to `upstream`, with an S3 signature."""

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
        sent = {name: request.headers[name] for name in FORWARDED if name in request.headers}
        asked = self._client.request(
            request.method,
            URL(url, encoded=True),
            data=BytesIO(body),
            headers={**sent, **signed(request.method, url, body, _s3_headers(request))},
            skip_auto_headers=["Content-Type"],
        )
        async with asked as answer:
            return web.Response(status=answer.status, headers=kept_headers(answer), body=await answer.read())


def _s3_headers(request: web.Request) -> dict[str, str]:
    source = request.headers.get("x-goog-copy-source")
    return {"x-amz-copy-source": "/" + source.lstrip("/")} if source else {}
