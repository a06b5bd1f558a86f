"""The JSON of `/v1/keys`. Times are UTC."""

import datetime as dt
import re
from typing import Annotated, Any

import msgspec

from ingest_service.auth.caller import Scope

PURPOSE = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
MAX_EXPIRES_DAYS = 3650


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new key shall be."""

    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1, max_length=len(Scope))]
    purpose: Annotated[str, msgspec.Meta(pattern=PURPOSE)] = "default"
    expires_days: Annotated[int, msgspec.Meta(ge=1, le=MAX_EXPIRES_DAYS)] | None = None  # null: never

    def __post_init__(self) -> None:
        if not re.fullmatch(PURPOSE, self.purpose) or self.purpose.endswith("\n"):  # `$` lets one newline pass
            raise ValueError("`purpose` has letters, digits, `.`, `_` and `-`")


class ApiKeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key without what is secret of it."""

    key_id: str
    purpose: str
    scopes: list[Scope]
    created_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None


class CreatedApiKey(ApiKeyView, frozen=True, kw_only=True):
    """A key that was just made. `key` is shown here and never again."""

    key: str

    def __repr__(self) -> str:
        return f"CreatedApiKey({self.key_id!r}, …)"


class ApiKeyList(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's keys: those that live, then those that ended, each newest first."""

    keys: tuple[ApiKeyView, ...]


def facts_of(row: Any) -> dict[str, Any]:
    """The fields of an ApiKeyView in a row of `keep_keys`."""
    scopes = [Scope(scope) for scope in row["scopes"]]
    times = {name: row[name] for name in ("created_at", "expires_at", "revoked_at")}
    return {"key_id": row["id"], "purpose": row["purpose"], "scopes": scopes, **times}
