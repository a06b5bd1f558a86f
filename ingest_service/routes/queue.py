"""`/v1/queue`: what waits, runs and ended lately, now and over a day. `/v1/alerts`: the alerts that fire."""

import datetime as dt
import math
import time
from collections.abc import Iterable, Mapping
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from ingest_service.alerts.firing import Firing
from ingest_service.auth.caller import Caller, Scope, needs
from ingest_service.errors import RefusedError
from ingest_service.jobs.backlog import BY_MINUTE_NAMES, MOST_TENANTS, Ended, Waiting
from ingest_service.openapi.document import ALERTS, WRONG_PARAMETER
from ingest_service.services import Services
from shared.connections.redis import Redis
from shared.connections.redis_shards import RedisShards, ask_each
from shared.schemas.queue_view import (
    Alert,
    AlertList,
    LastHour,
    QueueHistory,
    QueueView,
    Slots,
    TenantBacklog,
    UnevaluatedAlert,
    WebhookOutcomes,
)
from shared.telemetry.day_history import ANY, COUNTED, MINUTE_S, MOST_HOURS, NAMES, Minutes, merge_minutes, read_minutes

WEBHOOKS = "webhooks_"
Hours = Annotated[int, QueryParameter(ge=1, le=MOST_HOURS, description="how far back")]


@get(
    "/v1/queue",
    responses=WRONG_PARAMETER,
    opt=needs(Scope.READ, or_observe=True, or_operator=True),
    operation_id="getQueue",
    tags=["queue"],
    summary="Get the queue",
)
async def get_queue(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> QueueView:
    """What waits and runs now, and what ended in the last hour. The answer is some seconds old.

    The operator's key gets the queues of all tenants, and the slots, webhooks and real-time factor of all processors.
    Any other key gets its tenant's queue and jobs. Numbers of processors are those of the last full minute.
    """
    if not caller.operates:
        own = await services.backlog_by_tenant.of(caller.tenant)
        return view_of_tenant(own, await services.backlog_by_tenant.ended(caller.tenant))
    waiting = await services.backlog_by_tenant.read()
    return view_of_all(waiting, await _minutes(services.redis, 1))


@get(
    "/v1/queue/history",
    responses=WRONG_PARAMETER,
    opt=needs(Scope.READ, or_observe=True, or_operator=True),
    operation_id="getQueueHistory",
    tags=["queue"],
    summary="Get the queue's history",
)
async def get_history(
    caller: NamedDependency[Caller], services: NamedDependency[Services], hours: Hours = MOST_HOURS
) -> QueueHistory:
    """The last hours by minute: the operator's key gets the numbers of all services, any other those of its tenant.

    `audio_seconds`, `busy_seconds`, `jobs_…`, `uploads` and `webhooks_…` count what happened in the minute;
    `backlog_…`, `oldest_task_s` and `slots_…` are as at its end. The current minute is not included.
    """
    last = int(time.time()) // MINUTE_S - 1
    if caller.operates:
        return history(await _minutes(services.redis, hours) or {}, NAMES, last, hours)
    ended = await services.backlog_by_tenant.ended_by_minute(caller.tenant, hours)
    zeros = {minute: dict.fromkeys(BY_MINUTE_NAMES, 0.0) for minute in range(last - hours * 60 + 1, last + 1)}
    return history(zeros | ended, BY_MINUTE_NAMES, last, hours)


@get(
    "/v1/alerts",
    responses=ALERTS,
    opt=needs(Scope.OBSERVE, or_operator=True),
    operation_id="listAlerts",
    tags=["queue"],
    summary="List the alerts that fire",
)
async def get_alerts(caller: NamedDependency[Caller], services: NamedDependency[Services]) -> AlertList:
    """The alerts of the rules file for Prometheus that fire now, by the services' own samples. For the operator's key.

    `not_evaluated` names the rules that only a Prometheus can evaluate.
    """
    if not caller.operates:
        raise RefusedError("forbidden", "Only the operator's key may list the alerts.")
    evaluated = await services.alerts.read()
    return AlertList(
        alerts=tuple(_alert(one) for one in evaluated.firing),
        not_evaluated=tuple(
            UnevaluatedAlert(name=one.name, reason=one.reason) for one in evaluated.rules.not_evaluated
        ),
        evaluated_at=None if evaluated.at_s is None else _time(evaluated.at_s),
    )


async def _minutes(shards: RedisShards, hours: int) -> Minutes | None:
    """Return the history; None while no Redis is available."""

    async def read(redis: Redis) -> Minutes:
        seconds, _ = await redis.time()
        return await read_minutes(redis, seconds, hours)

    answers = await ask_each(shards, read)
    return merge_minutes(answers.by_shard.values()) if answers.by_shard else None


def view_of_tenant(own: Waiting, ended: Ended) -> QueueView:
    """Return what a tenant sees."""
    return _view(
        [own],
        slots=None,
        fair_share=None,
        last_hour=LastHour(
            audio_seconds=round(ended.audio_s, 3),
            real_time_factor=None,
            jobs_completed=ended.completed,
            jobs_failed=ended.failed,
            failure_rate=_ratio(ended.failed, ended.completed + ended.failed),
            uploads=None,
            webhooks=None,
        ),
    )


def view_of_all(waiting: tuple[Waiting, ...], minutes: Minutes | None) -> QueueView:
    """Return what the operator sees. Tenants with waiting tasks share the workers equally."""
    sharing = sum(1 for one in waiting if one.tasks)
    return _view(
        waiting,
        slots=None if minutes is None else _slots(waiting, minutes),
        fair_share=round(1 / sharing, 4) if sharing else 1.0,
        last_hour=None if minutes is None else _last_hour(minutes),
    )


def _view(
    waiting: Iterable[Waiting], *, slots: Slots | None, fair_share: float | None, last_hour: LastHour | None
) -> QueueView:
    tenants = [
        TenantBacklog(
            tenant=one.tenant,
            tasks=one.tasks,
            running=one.running,
            audio_seconds=round(one.audio_s, 1),
            oldest_task_s=round(one.oldest_s, 1),
            fair_share=fair_share,
        )
        for one in waiting
    ]
    return QueueView(
        tasks=sum(one.tasks for one in tenants),
        running=sum(one.running for one in tenants),
        audio_seconds=round(sum(one.audio_seconds for one in tenants), 1),
        oldest_task_s=max((one.oldest_task_s for one in tenants), default=0.0),
        slots=slots,
        tenants=tuple(tenants[:MOST_TENANTS]),
        more_tenants=max(0, len(tenants) - MOST_TENANTS),
        last_hour=last_hour,
    )


def _slots(waiting: Iterable[Waiting], minutes: Minutes) -> Slots:
    """Running tasks hold slots now; the number of slots is that of the last two minutes, the larger one."""
    busy = sum(one.running for one in waiting)
    newest = max(minutes, default=0)
    totals = [_total(minutes.get(minute, {})) for minute in (newest - 1, newest)]
    return Slots(busy=busy, total=max(busy, *totals))


def _total(values: Mapping[str, float]) -> int:
    return round(values.get("slots_busy", 0) + values.get("slots_idle", 0))


def _last_hour(minutes: Minutes) -> LastHour:
    sums = {name: math.fsum(values.get(name, 0.0) for values in minutes.values()) for name in COUNTED}
    completed, failed = round(sums["jobs_completed"]), round(sums["jobs_failed"])
    results = {name.removeprefix(WEBHOOKS): round(value) for name, value in sums.items() if name.startswith(WEBHOOKS)}
    return LastHour(
        audio_seconds=round(sums["audio_seconds"], 3),
        real_time_factor=_ratio(sums["audio_seconds"], sums["busy_seconds"]),
        jobs_completed=completed,
        jobs_failed=failed,
        failure_rate=_ratio(failed, completed + failed),
        uploads=round(sums["uploads"]),
        webhooks=WebhookOutcomes(**results),
    )


def history(minutes: Minutes, names: Iterable[str], last: int, hours: int) -> QueueHistory:
    """Return the series of the `hours` up to the minute `last`. A minute in which no service wrote is a gap."""
    wanted = range(last - hours * 60 + 1, last + 1)
    return QueueHistory(
        step_s=MINUTE_S,
        from_=_time(wanted[0] * MINUTE_S),
        series={name: tuple(_value(minutes.get(minute), name) for minute in wanted) for name in names},
    )


def _value(values: Mapping[str, float] | None, name: str) -> float | None:
    """Zeros are not written, except those of the backlog, which is unknown while the database is unavailable."""
    if values is None:
        return None
    if name in values or name.startswith(("backlog_", "oldest_")):
        return round(values[name], 3) if name in values else None
    return 0.0 if ANY in values else None


def _alert(firing: Firing) -> Alert:
    return Alert(
        name=firing.rule.name,
        severity=firing.rule.severity,
        summary=firing.summary,
        runbook=firing.rule.runbook,
        labels=dict(firing.labels),
        since=_time(firing.since_s),
        value=firing.value if math.isfinite(firing.value) else None,
    )


def _time(unix_s: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(unix_s, dt.UTC)


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


ROUTES = (get_queue, get_history, get_alerts)
