"""Reads the samples of all services from Redis and evaluates the alerts. One result serves all callers for seconds."""

import asyncio
from collections.abc import Iterable

import msgspec

from ingest_service.alerts.firing import NOTHING, STEP_S, Firing, Known, firing_alerts, since_of
from ingest_service.alerts.rules import UP, Rules, load_rules
from ingest_service.alerts.series import Labels, Series, SeriesSet
from shared.connections.redis import FAILED, Redis
from shared.connections.redis_shards import RedisShards, ask_each
from shared.telemetry.logs import Log
from shared.telemetry.outages import Outages
from shared.telemetry.samples import INSTANCES_KEY, Sample, decode_sample, name_and_labels, samples_key

MAX_AGE_S = 15.0
PAUSE_FACTOR = 20.0  # of the time that an evaluation takes: it competes with the event loop
MOST_INSTANCES = 200  # the services with the newest samples


Samples = dict[str, list[bytes]]  # of each service, by `job|instance`


class Evaluated(msgspec.Struct, frozen=True):
    """What fires, and at which Unix time: None while Redis is unavailable. The rules are those of the file."""

    rules: Rules
    at_s: float | None = None
    firing: tuple[Firing, ...] = ()


class AlertReader:
    """Evaluates at most once in MAX_AGE_S."""

    def __init__(self, shards: RedisShards) -> None:
        self._shards = shards
        self._lock = asyncio.Lock()
        self._due_s = float("-inf")
        self._last = Evaluated(Rules(rules=(), not_evaluated=()))
        self._outages = Outages(Log(__name__), "alerts_not_evaluated", "alerts_evaluated")

    async def read(self) -> Evaluated:
        """Return what fires. Redis is asked again at once while it is unavailable."""
        async with self._lock:
            now_s = asyncio.get_running_loop().time()
            if now_s > self._due_s:
                self._last = await self._evaluate()
                took_s = asyncio.get_running_loop().time() - now_s
                self._due_s = now_s + (0.0 if self._last.at_s is None else max(MAX_AGE_S, PAUSE_FACTOR * took_s))
        return self._last

    async def _evaluate(self) -> Evaluated:
        rules = await asyncio.to_thread(load_rules)  # reads a file, the first time
        try:
            answers = await ask_each(self._shards, _read_samples)
            at_s, samples = most_samples(answers.require_one().values())
        except FAILED as error:
            self._outages.failed(error)
            return Evaluated(rules)
        self._outages.worked()
        firing = await asyncio.to_thread(_firing, rules, samples, at_s, self._known(at_s))
        return Evaluated(rules, at_s, firing)

    def _known(self, now_s: float) -> Known:
        is_fresh = self._last.at_s is not None and 0 <= now_s - self._last.at_s <= STEP_S
        return since_of(self._last.firing) if is_fresh else NOTHING


async def _read_samples(redis: Redis) -> tuple[float, Samples]:
    """Return the Unix time, and the samples of each service. Raise redis-py's errors."""
    seconds, microseconds = await redis.time()
    named = await redis.zrevrange(INSTANCES_KEY, 0, MOST_INSTANCES - 1)
    instances = [name.decode(errors="replace") for name in named]
    async with redis.pipeline(transaction=False) as pipe:
        for name in instances:
            job, _, instance = name.partition("|")
            pipe.lrange(samples_key(job, instance), 0, -1)
        found: list[list[bytes]] = await pipe.execute()
    return seconds + microseconds / 1e6, dict(zip(instances, found, strict=True))


def most_samples(answers: Iterable[tuple[float, Samples]]) -> tuple[float, Samples]:
    """Return the answer with the most samples: a Redis that was unavailable lacks those of that time."""
    return max(answers, key=lambda answer: sum(map(len, answer[1].values())))


def _firing(rules: Rules, samples: Samples, now_s: float, known: Known) -> tuple[Firing, ...]:
    of_instance = {name: [one for data in found if (one := decode_sample(data))] for name, found in samples.items()}
    return tuple(firing_alerts(rules, series_of(of_instance), now_s, known))


def series_of(samples: dict[str, list[Sample]]) -> SeriesSet:
    """Return the series of all services, by `job|instance`, with these labels, and the series `up` of each."""
    found: dict[tuple[str, Labels], tuple[list[float], list[float]]] = {}
    for member, of_service in samples.items():
        job, _, instance = member.partition("|")
        own = {"job": job, "instance": instance}
        keys: dict[str, tuple[str, Labels]] = {}
        for sample in of_service:
            for series, value in ({UP: 1.0} | dict(sample.values)).items():
                if series not in keys:
                    name, labels = name_and_labels(series)
                    keys[series] = name, tuple(sorted((labels | own).items()))
                times, values = found.setdefault(keys[series], ([], []))
                times.append(sample.time_s)
                values.append(value)
    return SeriesSet((name, Series(labels, times, values)) for (name, labels), (times, values) in found.items())
