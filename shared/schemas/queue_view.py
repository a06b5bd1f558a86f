"""The JSON of `/v1/queue` and `/v1/alerts`. Times are UTC, durations seconds, rates are of the last hour."""

import datetime as dt

import msgspec


class TenantBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits and runs for a tenant. The length of audio that is not decoded yet is estimated from its bytes."""

    tenant: str
    tasks: int  # that wait, without webhooks; a long file is a task for each chunk
    running: int
    audio_seconds: float  # that wait
    oldest_task_s: float  # how long the oldest task has waited
    fair_share: (
        float | None
    )  # part of the workers' time while all these tenants wait; null for other callers than the operator


class Slots(msgspec.Struct, frozen=True, kw_only=True):
    """The slots of all processors."""

    busy: int
    total: int


class WebhookOutcomes(msgspec.Struct, frozen=True, kw_only=True):
    """Delivery attempts, by result."""

    delivered: int
    refused: int
    no_answer: int
    blocked: int
    unsigned: int


class LastHour(msgspec.Struct, frozen=True, kw_only=True):
    """What ended in the last hour. `null`: not known to this caller, or nothing to compute it from."""

    audio_seconds: float  # transcribed
    real_time_factor: float | None  # seconds of audio for each second that a slot transcribed: above 1 is faster
    jobs_completed: int
    jobs_failed: int
    failure_rate: float | None  # failed ones of both
    uploads: int | None
    webhooks: WebhookOutcomes | None


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """The queue of all tenants, for the operator, or of the caller's tenant.

    `last_hour` is null while Redis, which has the operator's numbers, is unavailable.
    """

    tasks: int
    running: int
    audio_seconds: float
    oldest_task_s: float
    slots: Slots | None  # the operator sees them
    tenants: tuple[TenantBacklog, ...]  # those with most audio first
    more_tenants: int  # that are not listed
    last_hour: LastHour | None


class QueueHistory(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """Numbers by time: each list begins at `from` and has one item for each `step_s` seconds; null is a gap."""

    step_s: int
    from_: dt.datetime
    series: dict[str, tuple[float | None, ...]]


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of the rules file that fires. `since`: its condition holds since then, at most 90 minutes ago."""

    name: str
    severity: str
    summary: str
    runbook: str
    labels: dict[str, str]
    since: dt.datetime
    value: float | None


class UnevaluatedAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of the rules file that the service cannot evaluate itself."""

    name: str
    reason: str


class AlertList(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts that fire now. `evaluated_at` is null while Redis, which has the samples, is unavailable."""

    alerts: tuple[Alert, ...]
    not_evaluated: tuple[UnevaluatedAlert, ...]
    evaluated_at: dt.datetime | None
