"""Protect a service without API keys from web pages, which can reach loopback addresses from the user's browser.

Without keys, only the address protects the service. A page passes it in two ways: its host name resolves to 127.0.0.1
(DNS rebinding), or it sends a request that a browser permits across sites, such as a form. So the request's `Host`
must be loopback or configured, and `Origin` and `Sec-Fetch-Site`, if a browser sends them, must be the service's own or
configured. Other clients send neither.
"""

from collections.abc import Awaitable, Collection
from functools import lru_cache
from typing import Any

from litestar.types import ASGIApp, Receive, Send

from ingest_service.middleware.page_origin import (
    OWN_SITES,
    SAFE_METHODS,
    Headers,
    changes_state,
    host_of,
    is_own_page,
    sent_by,
)
from ingest_service.middleware.problems import plain_problem
from ingest_service.request_record import note_problem
from ingest_service.settings import is_loopback

PROBES = "/health/"  # a probe names the address of a pod or a container


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
    sent = sent_by(headers)
    host = host_of(sent)
    if host is None or not _is_allowed_host(host[0], hosts):
        return "host_not_allowed"
    if len(sent) == 1:  # no browser sent it
        return None
    is_allowed = not changes_state(method, sent) or is_own_page(sent, host, OWN_SITES, origins)
    return None if is_allowed else "origin_not_allowed"


def _is_allowed_host(host: str, hosts: Collection[str]) -> bool:
    return host in hosts or _is_loopback(host)


_is_loopback = lru_cache(maxsize=256)(is_loopback)
