"""Decides whether an upload fits a tenant's quotas. Pure: what was used is told, and nothing is counted here."""

import datetime as dt
import math
from collections.abc import Sequence

import msgspec

from ingest_service.errors import LimitError

QUEUE_RETRY_S = 60  # a job leaves the queue when its turn comes, and nobody knows when that is
AT_ONCE_RETRY_S = 5


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant may use; 0 is no limit."""

    bytes_a_day: int = 0
    audio_seconds_a_day: int = 0
    jobs_queued: int = 0
    uploads_at_once: int = 0

    @property
    def bind_jobs(self) -> bool:
        """Whether a job may be refused by what others of its tenant have used."""
        return bool(self.bytes_a_day or self.audio_seconds_a_day or self.jobs_queued)


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant has used today, and has in the queue now (which is counted up to its quota only)."""

    bytes: int = 0
    audio_s: float = 0.0
    jobs_queued: int = 0

    def plus(self, job_bytes: int) -> "Used":
        """With another job in the queue."""
        return Used(bytes=self.bytes + job_bytes, audio_s=self.audio_s, jobs_queued=self.jobs_queued + 1)


def over_quota(quotas: Quotas, used: Used, job_bytes: int, now: dt.datetime) -> LimitError | None:
    """Why a job of at least so many bytes is too much, or None. Its audio's length is not known yet."""
    most = quotas.bytes_a_day
    if most and used.bytes + max(1, job_bytes) > most:
        detail = f"{used.bytes} of {most} bytes are used today, and this is {job_bytes} more"
        return quota_exceeded("bytes_a_day", detail, seconds_to_midnight(now))
    most = quotas.audio_seconds_a_day
    if most and used.audio_s >= most:
        detail = f"{used.audio_s:.0f} of {most} seconds of audio are used today"
        return quota_exceeded("audio_seconds_a_day", detail, seconds_to_midnight(now))
    if quotas.jobs_queued and used.jobs_queued >= quotas.jobs_queued:
        detail = f"{quotas.jobs_queued} jobs are in the queue, and more may not be"
        return quota_exceeded("jobs_queued", detail, QUEUE_RETRY_S)
    return None


def over_quota_each(quotas: Quotas, used: Used, jobs_bytes: Sequence[int], now: dt.datetime) -> list[LimitError | None]:
    """The same for several jobs one after the other: who comes behind one that is too much may still fit."""
    outcomes = []
    for job_bytes in jobs_bytes:
        outcome = over_quota(quotas, used, job_bytes, now)
        outcomes.append(outcome)
        if outcome is None:
            used = used.plus(job_bytes)
    return outcomes


def quota_exceeded(quota: str, detail: str, retry_after_s: int) -> LimitError:
    """The refusal that names a quota."""
    return LimitError("quota_exceeded", f"The quota `{quota}`: {detail}.", retry_after_s)


def seconds_to_midnight(now: dt.datetime) -> int:
    """Whole seconds until the next day of UTC begins, at least 1. `now` is a time in UTC."""
    midnight = dt.datetime.combine(now.date() + dt.timedelta(days=1), dt.time(), dt.UTC)
    return max(1, math.ceil((midnight - now).total_seconds()))
