"""What lists of jobs can be filtered by, and the conditions in SQL."""

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import msgspec

from ingest_service.client_json import ClientJsonError, decode_json
from shared.schemas.states import JobStatus

MAX_TEXT = 255
MAX_JOB_IDS = 1000

TEXT_FORM = f"text of 1 to {MAX_TEXT} characters without NUL"  # Postgres has no NUL in text
CODE_FORM = "a code: small letters, digits and `_`"
Text = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[^\x00]*$", min_length=1, max_length=MAX_TEXT, extra_json_schema={"description": TEXT_FORM}
    ),
]
Code = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)", extra_json_schema={"description": CODE_FORM})
]
Time = Annotated[dt.datetime, msgspec.Meta(tz=True)]
Speakers = Annotated[int, msgspec.Meta(ge=0, le=1000)]


class JobFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Jobs that meet all conditions; those that are left out do not count.

    `filename` is a part of the name, in upper or lower case. `metadata_key` is a member at any depth.
    """

    status: Annotated[tuple[JobStatus, ...], msgspec.Meta(max_length=5)] = ()
    created_after: Time | None = None
    created_before: Time | None = None
    filename: Text | None = None
    metadata_key: Text | None = None
    metadata_value: Text | None = None
    min_speakers: Speakers | None = None
    max_speakers: Speakers | None = None
    warning: Code | None = None
    code: Code | None = None  # of the failure
    job_ids: Annotated[tuple[UUID, ...], msgspec.Meta(max_length=MAX_JOB_IDS)] | None = None

    def __post_init__(self) -> None:
        if self.metadata_value is not None and self.metadata_key is None:
            raise ValueError("`metadata_value` needs `metadata_key`")
        for name, time in (("created_after", self.created_after), ("created_before", self.created_before)):
            if time is not None and not _has_utc(time):
                raise ValueError(f"`{name}` must be a time in the years 1 to 9999, in UTC")

    @property
    def is_by_status_only(self) -> bool:
        """Return whether there is no condition but the status."""
        return msgspec.structs.replace(self, status=()) == JobFilter()


def _has_utc(time: dt.datetime) -> bool:
    """Return whether a time has a form in UTC, as the database takes it: its zone may lead out of the years."""
    try:
        time.astimezone(dt.UTC)
    except OverflowError:
        return False
    return True


class Condition(NamedTuple):
    """A condition on one column. `{}` stands for the parameter."""

    column: str
    sql: str
    value: Any


def conditions(wanted: JobFilter) -> list[Condition]:
    """Return the conditions of a filter, without those on the status and the id."""
    patterns = metadata_patterns(wanted.metadata_key, wanted.metadata_value) if wanted.metadata_key else None
    name = None if wanted.filename is None else f"%{escape_like(wanted.filename)}%"
    every = (
        Condition("created_at", "created_at >= {}::timestamptz", wanted.created_after),
        Condition("created_at", "created_at < {}::timestamptz", wanted.created_before),
        Condition("filename", "filename ILIKE {}::text", name),
        Condition("metadata", "metadata::text LIKE ANY ({}::text[])", patterns),
        Condition("speakers", "speakers >= {}::int", wanted.min_speakers),
        Condition("speakers", "speakers <= {}::int", wanted.max_speakers),
        Condition("warning_codes", "{}::text = ANY (warning_codes)", wanted.warning),
        Condition("error_code", "error_code = {}::text", wanted.code),
    )
    return [one for one in every if one.value is not None]


def metadata_patterns(key: str, value: str | None) -> Sequence[str]:
    """Return the patterns of `LIKE` for metadata with a member: as a string, and as a number, boolean or null.

    Metadata is stored as JSON without spaces. A quotation mark inside a string follows a backslash, so that a pattern
    that begins and ends with one matches names and whole strings only.
    """
    name = f"{_json(key)}:"
    if value is None:
        texts = [name]
    else:
        texts = [name + _json(value), *(f"{name}{literal}{end}" for literal in _literals(value) for end in ",}]")]
    return [f"%{escape_like(text)}%" for text in texts]


def _literals(value: str) -> list[str]:
    """Return the JSON of a value that is a number, a boolean or null."""
    try:
        decoded = decode_json(value, object)
    except ClientJsonError:
        return []
    return [_json(decoded)] if decoded is None or isinstance(decoded, bool | int | float) else []


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def escape_like(text: str) -> str:
    """Return text as a part of a pattern of `LIKE`."""
    return text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


# Ids hold the time at which they were made: some time before the job's row, by the clock of an ingest.

CLOCK_SKEW = dt.timedelta(days=1)  # by which the clocks of an ingest and of the database may differ
ID_AGE = dt.timedelta(days=7)  # that an id may have when its job is written: a resumable upload is completed again
HIGHEST_ID = UUID(int=2**128 - 1)
LOWEST_ID = UUID(int=0)


def id_range(wanted: JobFilter, after: UUID | None) -> tuple[UUID, UUID]:
    """Return the ids between which all jobs of a page are: lower than the first, not lower than the second."""
    upper = HIGHEST_ID if wanted.created_before is None else _id_at(wanted.created_before, CLOCK_SKEW)
    lower = LOWEST_ID if wanted.created_after is None else _id_at(wanted.created_after, -CLOCK_SKEW - ID_AGE)
    return min(upper, after or HIGHEST_ID), lower


def _id_at(time: dt.datetime, by: dt.timedelta) -> UUID:
    """Return the lowest id of a time."""
    unix_ms = int((time.timestamp() + by.total_seconds()) * 1000)
    return UUID(int=min(max(unix_ms, 0), 2**48 - 1) << 80)
