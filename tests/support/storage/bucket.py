"""The contents of a bucket, read by our own signed requests instead of the library under test."""

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

import aiohttp

REGION = "us-east-1"
ACCESS_KEY, SECRET_KEY = "headrace-tests", "for-tests-only-Zk3vQ9"


class Bucket:
    """A prefix of a bucket on the server at `endpoint`."""

    def __init__(self, endpoint: str, name: str, prefix: str) -> None:
        self.endpoint = endpoint
        self.name = name
        self.prefix = prefix

    @property
    def url(self) -> str:
        return f"s3://{self.name}/{self.prefix}"

    async def make(self) -> bool:
        """Create the bucket. Return whether it exists."""
        status, _ = await self._ask("PUT", {})
        return status in {200, 409}

    async def keys(self) -> list[str]:
        """Return the visible keys."""
        return await self._listed({"list-type": "2"})

    async def uploads(self) -> list[str]:
        """Return the keys of multipart uploads that are neither completed nor aborted."""
        return await self._listed({"uploads": ""})

    async def set_lifecycle(self, rules: str) -> None:
        await self._expect("PUT", {"lifecycle": ""}, rules.encode())

    async def lifecycle(self) -> str:
        return (await self._expect("GET", {"lifecycle": ""}))[1]

    async def _listed(self, query: dict[str, str]) -> list[str]:
        """Return keys without the prefix."""
        _, answer = await self._expect("GET", {**query, "prefix": f"{self.prefix}/"})
        return sorted(re.findall(rf"<Key>{self.prefix}/([^<]*)</Key>", answer))

    async def _expect(self, method: str, query: dict[str, str], body: bytes = b"") -> tuple[int, str]:
        status, answer = await self._ask(method, query, body)
        assert status == 200, answer
        return status, answer

    async def _ask(self, method: str, query: dict[str, str], body: bytes = b"") -> tuple[int, str]:
        url = f"{self.endpoint}/{self.name}?{canonical_query(query)}"
        async with (
            aiohttp.ClientSession() as client,
            client.request(method, url, data=body, headers=signed(method, url, body)) as answer,
        ):
            return answer.status, await answer.text()


def canonical_query(query: dict[str, str]) -> str:
    return urlencode(sorted(query.items()), quote_via=quote)


def signed(method: str, url: str, body: bytes, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the headers of AWS Signature Version 4. `more`: additional signed headers, names in lower case."""
    parts = urlsplit(url)
    at = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    sent = {"x-amz-content-sha256": digest, "x-amz-date": at, **(more or {})}
    named = dict(sorted({**sent, "host": parts.netloc}.items()))
    headers, names = "".join(f"{name}:{value}\n" for name, value in named.items()), ";".join(named)
    request = f"{method}\n{parts.path}\n{parts.query}\n{headers}\n{names}\n{digest}"
    scope = f"{at[:8]}/{REGION}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", at, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{SECRET_KEY}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"Credential={ACCESS_KEY}/{scope},SignedHeaders={names},Signature={signature}"
    return {**sent, "Authorization": f"AWS4-HMAC-SHA256 {credential}"}
