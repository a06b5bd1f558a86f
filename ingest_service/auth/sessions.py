"""Makes and ends sessions, on the caller's connection. A session lets a browser use an API key by a cookie.

`<audio>` and EventSource cannot send a key in a header. A session has the rights of its key, and ends with it.
"""

import base64
import datetime as dt
import hmac
import re
import secrets
from typing import Any, Literal

import msgspec

from ingest_service.auth.api_keys import ID_BYTES, SECRET_BYTES, digest_of
from ingest_service.auth.caller import Caller, Scope
from ingest_service.errors import RefusedError
from shared.secret import repr_hiding
from shared.telemetry.logs import Log

log = Log(__name__)

VALID_S = 8 * 3600.0  # it is not extended: then the user signs in again
MAX_SESSIONS_PER_KEY = 50  # another one ends the oldest

# A token is `hr_<id>_<secret>` as a key is, but its id begins with `s`: in a header of keys it is malformed.
TOKEN = re.compile(rb"hr_(s[0-9a-f]{16})_[A-Za-z0-9_-]{43}")
CSRF = b"headrace csrf"

Auth = Literal["none", "key", "session"]  # by what a request is authenticated


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client should know before it uploads."""

    max_upload_bytes: int
    tus_chunk_bytes: int  # the largest useful body of a PATCH


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """Who the caller is, and what it may do. Times are UTC."""

    tenant: str
    scopes: tuple[Scope, ...]
    operates: bool  # sees all tenants
    auth: Auth
    csrf_token: str | None  # of the session, for `X-CSRF-Token`
    expires_at: dt.datetime | None  # of the session
    limits: SessionLimits

    def __repr__(self) -> str:
        return repr_hiding(self, "csrf_token")


class NewSession(msgspec.Struct, frozen=True):
    """A new session; `token` is secret."""

    token: str
    expires_at: dt.datetime
    left_s: int

    def __repr__(self) -> str:
        return repr_hiding(self, "token")


def session_id_in(token: bytes) -> str | None:
    """The id in a token; None if it is malformed."""
    match = TOKEN.fullmatch(token)
    return match[1].decode() if match else None


def csrf_token_of(token: str) -> str:
    """Return the token that proves that a page of this service sent a request. The database cannot give it."""
    return _text(hmac.digest(token.encode(), CSRF, "sha256"))


def _text(random: bytes) -> str:
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode()


LOCK_KEY = """
    SELECT id FROM api_keys
    WHERE tenant = $1 AND id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
    FOR NO KEY UPDATE
"""
END_OLDEST = """
    DELETE FROM sessions WHERE tenant = $1 AND id IN (
        SELECT id FROM sessions WHERE key_id = $2 ORDER BY expires_at DESC, id OFFSET $3)
"""
CREATE = """
    INSERT INTO sessions (id, tenant, key_id, digest, expires_at)
    SELECT $3, tenant, id, $4, least(now() + make_interval(secs => $5), expires_at)
    FROM api_keys WHERE tenant = $1 AND id = $2
    RETURNING expires_at, greatest(1, extract(epoch FROM expires_at - now())::int) AS left_s
"""
END = "DELETE FROM sessions WHERE tenant = $1 AND id = $2"


async def create_session(connection: Any, caller: Caller) -> NewSession:
    """Make a session of the caller's key; it is valid after the caller's commit. RefusedError `unauthorized`."""
    key = caller.tenant, caller.key_id
    if await connection.fetchval(LOCK_KEY, *key) is None:  # two at once must not pass the bound
        raise RefusedError("unauthorized", "This API key is unknown, expired or revoked.")
    await connection.execute(END_OLDEST, *key, MAX_SESSIONS_PER_KEY - 1)
    session_id = f"s{secrets.token_hex(ID_BYTES)}"
    token = f"hr_{session_id}_{_text(secrets.token_bytes(SECRET_BYTES))}"
    row = await connection.fetchrow(CREATE, *key, session_id, digest_of(token.encode()), VALID_S)
    log.info("session_started", tenant=caller.tenant, key_id=caller.key_id, session_id=session_id)
    return NewSession(token, row["expires_at"], row["left_s"])


async def end_session(connection: Any, caller: Caller) -> None:
    """End the caller's session; a repeat is no error. The commit notifies all processes."""
    await connection.execute(END, caller.tenant, caller.session_id)
    log.info("session_ended", tenant=caller.tenant, key_id=caller.key_id, session_id=caller.session_id)
