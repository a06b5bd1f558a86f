"""The state that the checker collects after a run, as plain values, so that the invariants are pure functions."""

import datetime as dt
from uuid import UUID

import msgspec

from tests.tools.chaos.load import Attempt
from tests.tools.chaos.receiver import Received


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    tenant: str
    status: str
    generation: int
    source_sha256: str
    error_code: str | None = None
    erased_at: dt.datetime | None = None


class TaskRow(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    job_id: UUID
    generation: int
    kind: str
    ordinal: int
    state: str
    attempts: int = 0
    crashes: int = 0
    code: str | None = None
    dismissed_at: dt.datetime | None = None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the audit: a task or job before and after a change.

    `who` names the service process that wrote it. None means the checker.
    """

    seq: int
    at: dt.datetime
    who: str | None
    relation: str
    operation: str
    id: UUID
    job_id: UUID
    kind: str | None = None
    ordinal: int | None = None
    old_generation: int | None = None
    generation: int | None = None
    old_state: str | None = None
    state: str | None = None
    old_token: int | None = None
    token: int | None = None
    dispatch_no: int | None = None
    old_attempts: int | None = None
    attempts: int | None = None
    old_crashes: int | None = None
    crashes: int | None = None
    old_expires_at: dt.datetime | None = None


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    job_id: UUID
    generation: int
    type: str
    committed_at: dt.datetime


class DeadTask(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that identify a dead letter."""

    job_id: str
    generation: int
    task_kind: str
    ordinal: int


class Leftovers(msgspec.Struct, frozen=True, kw_only=True):
    """What must not remain once all jobs have ended."""

    queued: tuple[str, ...] = ()  # "queue arq-id"
    keys_without_expiry: tuple[str, ...] = ()
    temporary_files: tuple[str, ...] = ()
    partial_blobs: tuple[str, ...] = ()
    orphaned_processes: tuple[str, ...] = ()
    idle_in_transaction: tuple[str, ...] = ()


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a world after its faults have ended."""

    attempts: tuple[Attempt, ...]
    jobs: dict[UUID, JobRow]
    tasks: tuple[TaskRow, ...]
    changes: tuple[Change, ...]
    events: tuple[EventRow, ...]
    received: tuple[Received, ...]
    trapped: int = 0
    dead_in_redis: tuple[DeadTask, ...] = ()
    leftovers: Leftovers = Leftovers()
    blobs: dict[str, str] = {}  # sha256 by key, of sources; other keys map to ""
    transcripts: dict[UUID, str] = {}  # text by job
    struck: frozenset[str] = frozenset()  # names of processes that a run killed or froze
    calls: int = 0  # transcriber calls
    calls_allowed_again: int = 0  # crashes times slots
    foreign_rows_shown: tuple[str, ...] = ()
