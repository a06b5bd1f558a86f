"""The URL that a client wrote, as it is requested: nothing is normalized, which would break signatures."""

import re
from urllib.parse import quote

from yarl import URL

from shared.schemas.called_urls import ascii_host, has_valid_port

WRITTEN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.DOTALL)
UNWRITABLE = re.compile(r"[^!-~]+")  # blanks, controls and other than ASCII: no request line has them


def exact_url(url: str) -> URL:
    """Return the URL with an ASCII host; path and query stay as written. An empty URL, refused later, if invalid."""
    written = WRITTEN.fullmatch(url)
    try:
        if written is None or "@" in written[2]:
            return URL(url)  # the guard refuses it and says why
        host = ascii_host(written[2])
        return URL() if host is None or not has_valid_port(written[2]) else _built(written, host)
    except ValueError:
        return URL()


def _built(written: re.Match[str], host: str) -> URL:
    scheme, authority, path, query = written.groups()
    port = authority[authority.rfind(":") :] if re.search(r":[0-9]+\Z", authority) else ""
    return URL.build(
        scheme=scheme.lower(),
        authority=host + port,
        path=_writable(path) or "/",
        query_string=_writable(query or ""),
        encoded=True,
    )


def _writable(text: str) -> str:
    return UNWRITABLE.sub(lambda found: quote(found[0]), text)
