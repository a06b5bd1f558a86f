"""The JSON of `/v1/dead-letters`. Field names are the public contract."""

import datetime as dt

import msgspec

from shared.schemas.failures import DeadLetter


class DeadLetterList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of dead letters, oldest first; `next_cursor` is null on the last page."""

    dead_letters: tuple[DeadLetter, ...]
    next_cursor: str | None


class DeadLettersOfCode(msgspec.Struct, frozen=True, kw_only=True):
    """The dead letters of one failure code. `last_message` is that of the newest one."""

    code: str
    dead_letters: int
    jobs: int
    tenants: int
    oldest_at: dt.datetime
    newest_at: dt.datetime
    last_message: str


class DeadLetterCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The dead letters by failure code, the most frequent first."""

    counts: tuple[DeadLettersOfCode, ...]
    total: int


class Discarded(msgspec.Struct, frozen=True, kw_only=True):
    """The number of dead letters that a request discarded."""

    discarded: int


class Redriven(msgspec.Struct, frozen=True, kw_only=True):
    """The number of dead letters that a request redrove."""

    redriven: int
