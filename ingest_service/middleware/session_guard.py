"""Protect sessions from other pages (CSRF): a browser adds the cookie to requests that a page did not mean to send.

`SameSite=Strict` keeps the cookie from other sites, not from other hosts of the same domain. So a request that may
change state needs the session's CSRF token, which only a page of this service can read, and must come from such a page.
"""

import hmac

from ingest_service.auth.sessions import csrf_token_of
from ingest_service.errors import RefusedError
from ingest_service.middleware.page_origin import SAME_ORIGIN, Headers, changes_state, host_of, is_own_page, sent_by

CSRF_HEADER = b"x-csrf-token"


def refuse_forgery(method: str, headers: Headers, token: str) -> None:
    """Raise RefusedError `origin_not_allowed` or `invalid_csrf_token` for a request with a session's cookie."""
    if not changes_state(method, sent_by(headers)):
        return
    refuse_other_pages(headers)
    shown = [value.strip() for name, value in headers if name == CSRF_HEADER]
    if len(shown) != 1 or not hmac.compare_digest(shown[0], csrf_token_of(token).encode()):
        raise RefusedError("invalid_csrf_token", "")


def refuse_other_pages(headers: Headers) -> None:
    """Raise RefusedError `origin_not_allowed` if a browser sent the request for a page of another origin."""
    sent = sent_by(headers)
    host = host_of(sent)
    if host is None or not is_own_page(sent, host, SAME_ORIGIN):
        raise RefusedError("origin_not_allowed", "With a session, only pages of this service may send this request.")
