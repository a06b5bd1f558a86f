"""Whose request it is, and what it may do."""

from enum import StrEnum

import msgspec


class Scope(StrEnum):
    """What a key is for."""

    SUBMIT = "submit"  # hand in audio, cancel and erase it
    READ = "read"  # see jobs and their results
    ADMIN = "admin"  # operate: dead letters, keys, metrics


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant, by one of its keys."""

    tenant: str
    scopes: frozenset[Scope]
    key_id: str | None = None  # None: nobody had to show one


LOCAL = Caller(tenant="default", scopes=frozenset(Scope))  # where no keys are asked for
