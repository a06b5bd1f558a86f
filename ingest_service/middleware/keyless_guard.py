"""Protect a service without API keys from web pages, which can reach loopback addresses from the user's browser.

Without keys, only the address protects the service. A page passes it in two ways: its host name resolves to 127.0.0.1
(DNS rebinding), or it sends a request that a browser permits across sites, such as a form. So the request's `Host`
must be loopback or configured, and `Origin` and `Sec-Fetch-Site`, if a browser sends them, must be the service's own or
configured. Other clients send neither.
"""

from collections.abc import Awaitable, Collection, Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from litestar.types import ASGIApp, Receive, Send

from ingest_service.middleware.problems import plain_problem
from ingest_service.request_record import note_problem
from ingest_service.settings import is_loopback

NAMES = frozenset({b"host", b"origin", b"referer", b"sec-fetch-site", b"x-http-method-override"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_AUTHORITY_BYTES = 300  # of a name, a port and one byte too many; what is longer matches nothing
PROBES = "/health/"  # a probe names the address of a pod or a container
OWN_SITES = frozenset({b"same-origin", b"none"})  # none: the user opened it
DEFAULT_PORTS = {"http": 80, "https": 443}

Headers = Iterable[tuple[bytes, bytes]]
Authority = tuple[str, int | None]


def with_keyless_guard(app: ASGIApp, hosts: Collection[str], origins: Collection[str]) -> ASGIApp:
    """Wrap an ASGI application that needs no keys."""
    allowed_hosts = frozenset(host.lower().rstrip(".") for host in hosts)
    allowed_origins = frozenset(origin.encode() for origin in origins)

    def guarded(scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        code = None
        if not _is_probe(scope["method"], scope["path"]):
            code = refusal(scope["method"], scope["headers"], allowed_hosts, allowed_origins)
        if code is None:
            return app(scope, receive, send)
        note_problem(code)
        return plain_problem(code).send(send)

    return guarded


def _is_probe(method: str, path: str) -> bool:
    return method in SAFE_METHODS and path.startswith(PROBES)


def refusal(method: str, headers: Headers, hosts: Collection[str], origins: Collection[bytes]) -> str | None:
    """Return the problem code for a request, or None. `origins` may use the service from their pages."""
    sent = _sent(headers)
    named = sent.get(b"host", ())
    authority = _authority(named[0][:MAX_AUTHORITY_BYTES]) if len(named) == 1 else None
    if authority is None or not _is_allowed_host(authority[0], hosts):
        return "host_not_allowed"
    if len(sent) == 1:  # no browser sent it
        return None
    is_safe = method in SAFE_METHODS and b"x-http-method-override" not in sent
    return None if is_safe or _is_own(sent, authority, origins) else "origin_not_allowed"


def _sent(headers: Headers) -> dict[bytes, list[bytes]]:
    sent: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in NAMES:
            sent.setdefault(name, []).append(value.strip())
    return sent


def _is_own(sent: dict[bytes, list[bytes]], authority: Authority, origins: Collection[bytes]) -> bool:
    """Return whether no other site caused the request. `Referer` counts only without `Origin`: it may be left out."""
    named = sent.get(b"origin") or [_origin_of(url) for url in sent.get(b"referer", [])]
    if named and all(one in origins for one in named):
        return True
    is_own_site = all(site.lower() in OWN_SITES for site in sent.get(b"sec-fetch-site", []))
    return is_own_site and all(_is_own_origin(one, authority) for one in named)


def _is_own_origin(origin: bytes, authority: Authority) -> bool:
    """Compare host and port. The scheme may differ: a proxy may speak TLS."""
    scheme, _, rest = origin.decode("latin-1").partition("://")
    named = _authority(rest.encode("latin-1")[:MAX_AUTHORITY_BYTES])
    if scheme not in DEFAULT_PORTS or named is None:
        return False
    return (named[0], named[1] or DEFAULT_PORTS[scheme]) == (authority[0], authority[1] or DEFAULT_PORTS[scheme])


def _origin_of(url: bytes) -> bytes:
    scheme, _, rest = url.partition(b"://")
    return scheme + b"://" + rest.partition(b"/")[0].partition(b"?")[0].partition(b"#")[0]


@lru_cache(maxsize=256)
def _authority(value: bytes) -> Authority | None:
    """Return host and port of a `Host` header; None if it is malformed."""
    text = value.decode("latin-1")
    if not text or any(one in text for one in "/\\?#@, \t"):
        return None
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (host.rstrip("."), port) if host else None


def _is_allowed_host(host: str, hosts: Collection[str]) -> bool:
    return host in hosts or _is_loopback(host)


_is_loopback = lru_cache(maxsize=256)(is_loopback)
