"""A browser that is signed in: it sends a session's cookie, and its page's requests send the CSRF token."""

import io
from typing import Any, NamedTuple

import aiohttp

from tests.support.ingest.api_keys import bearer
from tests.support.ingest.serving import Ingest

PAGE = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}


class SignedIn(NamedTuple):
    """A session as the browser has it. `cookie` is what it sends, `token` the value in it."""

    cookie: dict[str, str]
    token: str
    csrf: dict[str, str]
    view: dict[str, Any]
    set_cookie: str

    @property
    def session_id(self) -> str:
        return self.token.split("_")[1]

    def page(self, ingest: Ingest, **headers: str) -> dict[str, str]:
        """The headers of a request of the service's own page."""
        return {**self.cookie, **self.csrf, **PAGE, "Origin": ingest.url, **headers}


async def sign_in(ingest: Ingest, key: str, **headers: str) -> SignedIn:
    """Start a session, as a page of the service does."""
    async with ingest.client.post(f"{ingest.url}/v1/session", headers={**bearer(key), **headers}) as answer:
        view = await answer.json(content_type=None)
        assert answer.status == 201, view
        return signed_in(view, answer)


def signed_in(view: dict[str, Any], answer: aiohttp.ClientResponse) -> SignedIn:
    (set_cookie,) = answer.headers.getall("Set-Cookie")
    pair = set_cookie.partition(";")[0]
    csrf = {"X-CSRF-Token": view["csrf_token"]}
    return SignedIn({"Cookie": pair}, pair.partition("=")[2], csrf, view, set_cookie)


async def asked(
    ingest: Ingest, method: str, path: str, headers: dict[str, str], data: bytes | None = None
) -> tuple[int, str]:
    """The status, and the problem's code if the answer is one."""
    body = None if data is None else io.BytesIO(data)
    async with ingest.client.request(
        method, ingest.url + path, headers=headers, data=body, allow_redirects=False
    ) as answer:
        if answer.content_type not in {"application/problem+json", "application/json"} or method == "HEAD":
            return answer.status, ""
        shown = await answer.json(content_type=None)
    shown = shown.get("error", shown) if isinstance(shown, dict) else {}
    return answer.status, str((shown or {}).get("code", ""))


async def status_with(ingest: Ingest, cookie: dict[str, str], path: str = "/v1/jobs") -> int:
    """The status of a GET with that cookie."""
    return (await asked(ingest, "GET", path, cookie))[0]


async def sign_out(ingest: Ingest, headers: dict[str, str]) -> str:
    """End the session. Return `Set-Cookie`."""
    async with ingest.client.delete(f"{ingest.url}/v1/session", headers=headers) as answer:
        assert answer.status == 204, await answer.text()
        return answer.headers["Set-Cookie"]
