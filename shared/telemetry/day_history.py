"""The numbers of the whole fleet by minute, for the charts of a day: one hash in Redis for each hour.

Each service adds what it counted since its last sample. So the size does not depend on the number of services: an hour
has at most 60 times NAMES fields. A minute in which no service wrote is a gap.
"""

import math
from collections.abc import Iterable, Mapping

from shared.connections.redis import Redis
from shared.telemetry.samples import name_and_labels

HOUR_S, MINUTE_S = 3600, 60
MOST_HOURS = 24
KEPT_S = (MOST_HOURS + 2) * HOUR_S

# What a minute adds up, by the counter and the labels that select its series.
COUNTED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "uploads": ("headrace_ingest_uploads_accepted_total", {}),
    "audio_seconds": ("headrace_processor_stage_audio_seconds_total", {"stage": "transcribe"}),
    "busy_seconds": ("headrace_processor_stage_busy_seconds_total", {"stage": "transcribe"}),
    "jobs_completed": ("headrace_processor_jobs_ended_total", {"status": "completed"}),
    "jobs_failed": ("headrace_processor_jobs_ended_total", {"status": "failed"}),
    "webhooks_delivered": ("headrace_processor_webhook_attempts_total", {"result": "delivered"}),
    "webhooks_refused": ("headrace_processor_webhook_attempts_total", {"result": "refused"}),
    "webhooks_no_answer": ("headrace_processor_webhook_attempts_total", {"result": "no_answer"}),
    "webhooks_blocked": ("headrace_processor_webhook_attempts_total", {"result": "blocked"}),
    "webhooks_unsigned": ("headrace_processor_webhook_attempts_total", {"result": "unsigned"}),
}
# Gauges of each service that add up, and gauges that all services report alike.
SUMMED: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "slots_busy": ("headrace_processor_slots", {"state": "used"}),
    "slots_idle": ("headrace_processor_slots", {"state": "idle"}),
}
BACKLOG_TASKS, BACKLOG_AUDIO = "backlog_tasks", "backlog_audio_seconds"
OLDEST = "oldest_task_s"
NAMES = (*COUNTED, *SUMMED, BACKLOG_TASKS, BACKLOG_AUDIO, OLDEST)
ANY = "any"  # of a minute in which a service wrote

Values = Mapping[str, float]
Minutes = dict[int, dict[str, float]]  # by the Unix time of the minute in minutes


def added(before: Values | None, now: Values) -> dict[str, float]:
    """Return what a sample adds to its minute, since the one before. A counter that fell began again from 0.

    `before` is None for a sample after a pause: then counters only start from here.
    """
    counted = dict.fromkeys(COUNTED, 0.0)
    for name, value in _selected(COUNTED, now):
        for series, labelled in value:
            if before is not None:
                counted[name] += labelled - before.get(series, 0.0) if labelled >= before.get(series, 0.0) else labelled
    gauges = {name: sum(value for _, value in values) for name, values in _selected(SUMMED, now)}
    return {name: value for name, value in (counted | gauges).items() if value} | {ANY: 1.0}


def _selected(
    wanted: Mapping[str, tuple[str, Mapping[str, str]]], values: Values
) -> Iterable[tuple[str, list[tuple[str, float]]]]:
    """Yield the series of each name."""
    named = [(series, value, *name_and_labels(series)) for series, value in values.items()]
    for name, (metric, labels) in wanted.items():
        yield (
            name,
            [(series, value) for series, value, its, has in named if its == metric and labels.items() <= has.items()],
        )


def backlog_of(now: Values) -> dict[str, float]:
    """Return the gauges of the backlog: compute tasks that wait. Empty while the database does not answer."""
    waiting: dict[str, list[float]] = {}
    for series, value in now.items():
        name, labels = name_and_labels(series)
        if labels.get("kind") != "deliver" and labels.get("state") in {"dispatched", "waiting"}:
            waiting.setdefault(f"{name} {labels['state']}", []).append(value)
    tasks = waiting.get("headrace_backlog_tasks dispatched")
    if tasks is None:
        return {}
    audio = [waiting.get(f"headrace_backlog_audio_seconds {state}", []) for state in ("dispatched", "waiting")]
    return {
        BACKLOG_TASKS: sum(tasks) + sum(waiting.get("headrace_backlog_tasks waiting", [])),
        BACKLOG_AUDIO: sum(map(sum, audio)),
        OLDEST: max(waiting.get("headrace_backlog_oldest_task_age_seconds dispatched", [0.0])),
    }


def hour_key(hour: int) -> str:
    """Return the key of an hour, counted from the Unix epoch."""
    return f"headrace:minutes:{hour}"


def field(minute: int, name: str) -> str:
    """Return the field of a number in its hour."""
    return f"{minute % 60}:{name}"


async def read_minutes(redis: Redis, now_s: float, hours: int) -> Minutes:
    """Return the minutes of the last hours in which a service wrote. Raise redis-py's errors."""
    last = int(now_s // MINUTE_S)
    first = last - hours * 60 + 1
    wanted = range(first // 60, last // 60 + 1)
    async with redis.pipeline(transaction=False) as pipe:
        for hour in wanted:
            pipe.hgetall(hour_key(hour))
        found = await pipe.execute()
    minutes: Minutes = {}
    for hour, fields in zip(wanted, found, strict=True):
        for name, value in fields.items():
            if read := _read(name, value):
                minute, what, number = read
                minutes.setdefault(hour * 60 + minute, {})[what] = number
    return {minute: values for minute, values in minutes.items() if first <= minute <= last}


def merge_minutes(histories: Iterable[Minutes]) -> Minutes:
    """Merge the histories of several Redis. Each has all numbers, except of the time when it was unavailable."""
    merged: Minutes = {}
    for history in histories:
        for minute, values in history.items():
            known = merged.setdefault(minute, {})
            known |= {name: max(value, known.get(name, value)) for name, value in values.items()}
    return merged


def _read(name: bytes, value: bytes) -> tuple[int, str, float] | None:
    """Return a field's minute in its hour, its name and its number; None for what no service writes."""
    minute, _, what = name.decode(errors="replace").partition(":")
    try:
        number = float(value)
        return (int(minute), what, number) if math.isfinite(number) else None
    except ValueError:
        return None
