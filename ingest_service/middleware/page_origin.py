"""Whether a page of this service sent a request, by the headers that browsers add. Pure.

Pages cannot change `Origin` and `Sec-Fetch-Site`. Other clients send neither.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

NAMES = frozenset({b"host", b"origin", b"referer", b"sec-fetch-site", b"x-http-method-override"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_AUTHORITY_BYTES = 300  # of a name, a port and one byte too many; what is longer matches nothing
SAME_ORIGIN = frozenset({b"same-origin"})
OWN_SITES = SAME_ORIGIN | {b"none"}  # none: the user opened it
DEFAULT_PORTS = {"http": 80, "https": 443}

Headers = Iterable[tuple[bytes, bytes]]
Sent = Mapping[bytes, list[bytes]]
Authority = tuple[str, int | None]


def sent_by(headers: Headers) -> Sent:
    """Return the values of NAMES among the headers."""
    sent: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in NAMES:
            sent.setdefault(name, []).append(value.strip())
    return sent


def host_of(sent: Sent) -> Authority | None:
    """Return host and port of `Host`; None if it is malformed, missing or repeated."""
    named = sent.get(b"host", ())
    return _authority(named[0][:MAX_AUTHORITY_BYTES]) if len(named) == 1 else None


def changes_state(method: str, sent: Sent) -> bool:
    """Return whether a request may change state. An overridden method may be any."""
    return method not in SAFE_METHODS or b"x-http-method-override" in sent


def is_own_page(sent: Sent, host: Authority, sites: Collection[bytes], origins: Collection[bytes] = ()) -> bool:
    """Return whether no other page caused the request, except one of `origins`. `sites`: allowed `Sec-Fetch-Site`.

    `Referer` counts only without `Origin`: it may be left out.
    """
    named = sent.get(b"origin") or [_origin_of(url) for url in sent.get(b"referer", [])]
    if named and all(one in origins for one in named):
        return True
    is_own_site = all(site.lower() in sites for site in sent.get(b"sec-fetch-site", []))
    return is_own_site and all(_is_own_origin(one, host) for one in named)


def _is_own_origin(origin: bytes, host: Authority) -> bool:
    """Compare host and port. The scheme may differ: a proxy may speak TLS."""
    scheme, _, rest = origin.decode("latin-1").partition("://")
    named = _authority(rest.encode("latin-1")[:MAX_AUTHORITY_BYTES])
    if scheme not in DEFAULT_PORTS or named is None:
        return False
    return (named[0], named[1] or DEFAULT_PORTS[scheme]) == (host[0], host[1] or DEFAULT_PORTS[scheme])


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
