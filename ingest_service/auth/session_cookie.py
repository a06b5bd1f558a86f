"""The cookie that holds a session's token. Behind TLS its name has the prefix `__Host-`: no other host can set it."""

import re
from collections.abc import Iterable

import msgspec

from ingest_service.errors import RefusedError
from shared.secret import repr_hiding

NAME = "headrace_session"
SECURE_NAME = f"__Host-{NAME}"
IN_HEADER = re.compile(rb"(?:^|;)[ \t]*(__Host-)?headrace_session=([^;]*)")  # one search: a header may be long


class SessionCookie(msgspec.Struct, frozen=True):
    """A session's token, and whether the browser may send it over TLS only."""

    token: str
    is_secure: bool

    def field(self, max_age_s: int) -> str:
        """Return the value of `Set-Cookie`. 0 removes the cookie."""
        name, secure = (SECURE_NAME, "; Secure") if self.is_secure else (NAME, "")
        value = self.token if max_age_s else ""
        return f"{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={max_age_s}{secure}"

    def __repr__(self) -> str:
        return repr_hiding(self, "token")


def session_cookie_in(headers: Iterable[tuple[bytes, bytes]], scheme: str) -> SessionCookie | None:
    """Return a request's session cookie. Raise RefusedError `unauthorized` for two of a name.

    The secure one wins. Over TLS the other one does not count, since pages of other hosts of the domain can set it.
    """
    text = b";".join(value for name, value in headers if name == b"cookie")
    found: dict[bool, set[bytes]] = {True: set(), False: set()}
    for prefix, token in IN_HEADER.findall(text):
        found[bool(prefix)].add(token.strip())
    is_secure = bool(found[True]) or scheme == "https"
    tokens = found[is_secure]
    if len(tokens) > 1:
        raise RefusedError("unauthorized", "The request has two different session cookies. Sign in again.")
    return SessionCookie(tokens.pop().decode("latin-1"), is_secure) if tokens else None
