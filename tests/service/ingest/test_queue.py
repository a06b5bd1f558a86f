"""`/v1/queue`, its history and `/v1/alerts`, for operators and tenants; the samples behind them in a real Redis."""

import time
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from ingest_service.auth.caller import Scope
from ingest_service.settings import IngestSettings
from shared.connections.redis import Redis, open_redis
from shared.secret import Secret
from shared.telemetry import day_history
from shared.telemetry.keep_samples import SampleKeeper
from shared.telemetry.samples import (
    INGEST_JOB,
    INSTANCES_KEY,
    KEPT_SAMPLES,
    PROCESSOR_JOB,
    Sample,
    decode_sample,
    encode_sample,
    samples_key,
)
from tests.support.ingest import records
from tests.support.ingest.api_keys import WAV_TYPE, bearer, guarded, new_key
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav

INSTANCE = "host:1"
KEY = samples_key(PROCESSOR_JOB, INSTANCE)
DONE = 'headrace_processor_jobs_ended_total{status="completed"}'
FAILED = 'headrace_processor_jobs_ended_total{status="failed"}'
AUDIO = 'headrace_processor_stage_audio_seconds_total{stage="transcribe",engine="openai-whisper"}'
BUSY = 'headrace_processor_stage_busy_seconds_total{stage="transcribe",engine="openai-whisper"}'
REFUSED = 'headrace_processor_webhook_attempts_total{result="refused"}'
USED, IDLE = (f'headrace_processor_slots{{state="{state}"}}' for state in ("used", "idle"))
WAITS = 'headrace_backlog_tasks{kind="prepare",state="dispatched"}'
RESCUED = 'headrace_processor_upkeep_dispatches_total{upkeep="rescue"}'


@pytest_asyncio.fixture
async def redis(settings: IngestSettings) -> AsyncIterator[Redis]:
    async with open_redis(settings.redis_url.reveal()) as client:
        yield client


def text(values: dict[str, float]) -> str:
    return "".join(f"{series} {value}\n" for series, value in values.items())


class Service:
    """A service whose metrics the test sets."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.values: dict[str, float] = {}
        self.restart()

    def restart(self) -> None:
        self.keeper = SampleKeeper(self.redis, PROCESSOR_JOB, INSTANCE, self._metrics)

    async def _metrics(self) -> str:
        return text(self.values)

    async def keep(self, **changes: float) -> None:
        """Keep a sample, as if a minute had passed since the last one."""
        self.values |= changes
        for key in await self.redis.keys(f"{KEY}:*"):
            await self.redis.delete(key)
        await self.keeper.keep()

    async def hour(self) -> dict[str, float]:
        """The sums of the last hour."""
        seconds, _ = await self.redis.time()
        minutes = await day_history.read_minutes(self.redis, seconds, 1)
        names = {name for values in minutes.values() for name in values}
        return {name: sum(values.get(name, 0.0) for values in minutes.values()) for name in names}


async def test_a_minute_has_one_sample_of_each_service(redis: Redis) -> None:
    service = Service(redis)
    service.values = {AUDIO: 10.0, "headrace_processor_children": 3.0, "go_goroutines": 7.0}
    await service.keeper.keep()
    service.values[AUDIO] = 20.0
    another = SampleKeeper(redis, PROCESSOR_JOB, INSTANCE, service._metrics)
    await another.keep()
    kept = await redis.lrange(KEY, 0, -1)  # type: ignore[misc] # both clients
    samples = [sample for data in kept if (sample := decode_sample(data))]
    if len(samples) == 2:  # the minute has just ended
        samples.pop()
    assert [dict(sample.values) for sample in samples] == [{AUDIO: 10.0}]
    assert await redis.zrange(INSTANCES_KEY, 0, -1) == [f"{PROCESSOR_JOB}|{INSTANCE}".encode()]


async def test_growth_is_added_once_over_restarts(redis: Redis) -> None:
    service = Service(redis)
    service.values = {AUDIO: 5.0, DONE: 1.0}
    await service.keep()  # of a process that has just started: all that it has counted
    await service.keep(**{AUDIO: 45.0, DONE: 3.0})
    service.restart()
    await service.keep(**{AUDIO: 7.0, DONE: 0.0})  # again from 0
    await service.keep(**{AUDIO: 8.0, DONE: 2.0})
    sums = await service.hour()
    assert sums["audio_seconds"] == 53.0
    assert sums["jobs_completed"] == 5.0


async def test_an_old_process_without_samples_counts_from_now_on(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service(redis)
    monkeypatch.setattr(service.keeper, "_began_s", time.monotonic() - 3600)
    service.values = {AUDIO: 5000.0}
    await service.keep()
    await service.keep(**{AUDIO: 5010.0})
    assert (await service.hour())["audio_seconds"] == 10.0


async def test_after_a_pause_growth_is_not_added_to_one_minute(redis: Redis) -> None:
    service = Service(redis)
    service.values = {AUDIO: 100.0}
    seconds, _ = await redis.time()
    await redis.rpush(KEY, encode_sample(Sample(seconds - 900.0, {AUDIO: 1.0})))  # type: ignore[misc] # both clients
    await service.keep()
    assert "audio_seconds" not in await service.hour()


async def test_what_is_kept_is_bounded(redis: Redis) -> None:
    service = Service(redis)
    for number in range(KEPT_SAMPLES + 5):
        await service.keep(**{AUDIO: float(number)})
    assert await redis.llen(KEY) == KEPT_SAMPLES  # type: ignore[misc] # both clients
    keys = [key async for key in redis.scan_iter("headrace:*")]
    assert all([await redis.ttl(key) > 0 for key in keys if key != INSTANCES_KEY.encode()])
    seconds, _ = await redis.time()
    fields = {
        name
        for hour in (seconds // 3600, seconds // 3600 - 1)
        for name in await redis.hkeys(day_history.hour_key(hour))  # type: ignore[misc] # both clients
    }
    assert {field.decode().partition(":")[2] for field in fields} <= {*day_history.NAMES, day_history.ANY}


async def hook_job(ingest: Ingest, key: str) -> str:
    status, job = await ingest.post(wav(), headers=WAV_TYPE | bearer(key))
    assert status == 202
    return str(job["job_id"])


class Callers:
    """An operator and two tenants with their jobs: acme has two queued and a failed job, globex one completed job."""

    def __init__(self, ingest: Ingest, operator: str, acme: str, globex: str) -> None:
        self.ingest, self.operator, self.acme, self.globex = ingest, operator, acme, globex

    async def get(self, key: str, path: str) -> Any:
        status, body = await self.ingest.get(path, headers=bearer(key))
        assert status == 200, body
        return body


@pytest_asyncio.fixture
async def callers(settings: IngestSettings) -> AsyncIterator[Callers]:
    acme, globex = await new_key(settings, "acme"), await new_key(settings, "globex", Scope.READ, Scope.SUBMIT)
    operator = await new_key(settings, "operations", Scope.READ, operates=True)
    async with guarded(settings) as ingest:
        jobs = [await hook_job(ingest, acme.key) for _ in range(3)]
        await records.fail(ingest, jobs[0])
        await records.complete(ingest, await hook_job(ingest, globex.key))
        yield Callers(ingest, operator.key, acme.key, globex.key)


async def test_a_tenant_sees_its_own_queue_and_jobs(callers: Callers) -> None:
    acme = await callers.get(callers.acme, "/v1/queue")
    assert [one["tenant"] for one in acme["tenants"]] == ["acme"]
    assert acme["tasks"] == acme["tenants"][0]["tasks"] == 2
    assert acme["audio_seconds"] > 0
    assert acme["slots"] is None
    assert acme["tenants"][0]["fair_share"] is None
    assert acme["last_hour"]["jobs_failed"] == 1
    assert acme["last_hour"]["failure_rate"] == 1.0
    assert acme["last_hour"]["webhooks"] is None
    globex = await callers.get(callers.globex, "/v1/queue")
    assert (globex["tasks"], globex["last_hour"]["jobs_completed"], globex["last_hour"]["jobs_failed"]) == (0, 1, 0)
    assert globex["last_hour"]["failure_rate"] == 0.0


async def test_an_operator_sees_all_queues_and_the_processors(callers: Callers, redis: Redis) -> None:
    service = Service(redis)
    service.values = {AUDIO: 0.0, BUSY: 0.0, DONE: 0.0, FAILED: 0.0, REFUSED: 0.0, USED: 1.0, IDLE: 3.0}
    await service.keep()
    await service.keep(**{AUDIO: 600.0, BUSY: 60.0, DONE: 9.0, FAILED: 1.0, REFUSED: 4.0})
    seen = await callers.get(callers.operator, "/v1/queue")
    assert {one["tenant"]: one["tasks"] for one in seen["tenants"]} == {"acme": 2}
    assert seen["tenants"][0]["fair_share"] == 1.0
    assert seen["slots"]["total"] >= 4
    hour = seen["last_hour"]
    assert (hour["audio_seconds"], hour["real_time_factor"]) == (600.0, 10.0)
    assert (hour["jobs_completed"], hour["jobs_failed"], hour["failure_rate"]) == (9, 1, 0.1)
    assert hour["webhooks"] == {"delivered": 0, "refused": 4, "no_answer": 0, "blocked": 0, "unsigned": 0}


async def test_tenants_that_wait_share_equally(callers: Callers) -> None:
    for _ in range(3):
        await hook_job(callers.ingest, callers.globex)
    seen = await callers.get(callers.operator, "/v1/queue")
    assert {one["tenant"]: (one["tasks"], one["fair_share"]) for one in seen["tenants"]} == {
        "acme": (2, 0.5),
        "globex": (3, 0.5),
    }


CHUNKS = """
    INSERT INTO tasks (id, job_id, kind, ordinal, state, started_at, created_at)
    SELECT gen_random_uuid(), $1::uuid, 'chunk', number, CASE WHEN number < 2 THEN 'running' ELSE 'dispatched' END,
           now(), now() - interval '90 seconds'
    FROM generate_series(0, 5) AS number
"""
LONG_FILE = """
    UPDATE jobs SET status = 'PROCESSING', duration_s = 3600, chunk_count = 6, started_at = now() WHERE id = $1::uuid
"""


async def test_the_chunks_of_a_long_file_wait_and_run(callers: Callers) -> None:
    job = await hook_job(callers.ingest, callers.globex)
    await callers.ingest.sql("UPDATE tasks SET state = 'done' WHERE job_id = $1::uuid", job)
    await callers.ingest.sql(LONG_FILE, job)
    await callers.ingest.sql(CHUNKS, job)
    (globex,) = (await callers.get(callers.globex, "/v1/queue"))["tenants"]
    assert (globex["tasks"], globex["running"], globex["audio_seconds"]) == (4, 2, 2400.0)
    assert 90 <= globex["oldest_task_s"] < 150
    seen = await callers.get(callers.operator, "/v1/queue")
    assert seen["slots"] == {"busy": 2, "total": 2}


async def test_the_history_of_a_tenant_has_its_jobs_only(callers: Callers) -> None:
    await callers.ingest.sql("UPDATE jobs SET completed_at = completed_at - interval '5 minutes'")
    of_tenant = await callers.get(callers.acme, "/v1/queue/history?hours=2")
    assert of_tenant["step_s"] == 60
    assert {name: len(values) for name, values in of_tenant["series"].items()} == {
        "jobs_completed": 120,
        "jobs_failed": 120,
        "audio_seconds": 120,
    }
    assert sum(of_tenant["series"]["jobs_failed"]) == 1
    assert sum(of_tenant["series"]["jobs_completed"]) == 0


async def test_the_history_of_the_operator_has_gaps_where_nobody_wrote(callers: Callers, redis: Redis) -> None:
    seconds, _ = await redis.time()
    minute = seconds // 60 - 10
    hour = day_history.hour_key(minute // 60)
    fields = {"any": 1, "uploads": 6, "backlog_tasks": 4}
    await redis.hset(hour, mapping={day_history.field(minute, name): value for name, value in fields.items()})  # type: ignore[misc] # both clients
    seen = await callers.get(callers.operator, "/v1/queue/history")
    assert set(seen["series"]) == set(day_history.NAMES)
    assert {len(values) for values in seen["series"].values()} == {24 * 60}
    known = [value for value in seen["series"]["uploads"] if value is not None]
    assert known == [6.0]
    assert [value for value in seen["series"]["jobs_failed"] if value is not None] == [0.0]
    assert [value for value in seen["series"]["oldest_task_s"] if value is not None] == []


async def fill(
    redis: Redis, values: Callable[[int], dict[str, float]], minutes: int = 30, job: str = PROCESSOR_JOB
) -> None:
    """Write samples of a service, one a minute up to now."""
    seconds, _ = await redis.time()
    for ago in range(minutes - 1, -1, -1):
        sample = Sample(float(seconds - 60 * ago), values(minutes - 1 - ago))
        await redis.rpush(samples_key(job, INSTANCE), encode_sample(sample))  # type: ignore[misc] # both clients
    await redis.zadd(INSTANCES_KEY, {f"{job}|{INSTANCE}": seconds})


async def test_alerts_fire_by_the_samples(callers: Callers, redis: Redis) -> None:
    poll = "headrace_processor_poll_age_seconds"
    await fill(redis, lambda minute: {RESCUED: 2.0 * minute, poll: 0.1 if minute < 20 else 300.0, WAITS: 0.0})
    seen = await callers.get(callers.operator, "/v1/alerts")
    assert [alert["name"] for alert in seen["alerts"]] == ["HeadraceWorkersLost", "HeadraceProcessorDoesNotPoll"]
    lost, polls = seen["alerts"]
    assert polls["summary"] == f"The processor {INSTANCE} has not polled its queue for 5m 0s."
    assert polls["labels"] == {"job": PROCESSOR_JOB, "instance": INSTANCE}
    assert polls["runbook"].startswith("If it is all processors, Redis is unavailable.")
    assert lost["severity"] == "ticket"
    assert [one["name"] for one in seen["not_evaluated"]] == ["HeadraceIngestDown"]
    assert seen["evaluated_at"]


async def test_a_processor_that_keeps_samples_is_up(callers: Callers, redis: Redis) -> None:
    running = 'headrace_processor_tasks_running{kind="chunk"}'
    await fill(redis, lambda _: {WAITS: 3.0, running: 1.0})
    assert (await callers.get(callers.operator, "/v1/alerts"))["alerts"] == []


async def test_tasks_wait_and_no_processor_keeps_samples(callers: Callers, redis: Redis) -> None:
    await fill(redis, lambda _: {WAITS: 3.0}, job=INGEST_JOB)
    (alert,) = (await callers.get(callers.operator, "/v1/alerts"))["alerts"]
    assert (alert["name"], alert["severity"], alert["value"]) == ("HeadraceNobodyWorks", "page", 3.0)
    assert alert["summary"] == "3 tasks wait and no processor answers."


@pytest.mark.parametrize("damaged", [b"", b"x", zlib.compress(b"x"), zlib.compress(b"\x92\xa1a\xc0")])
async def test_what_is_no_sample_is_left_out(callers: Callers, redis: Redis, damaged: bytes) -> None:
    await fill(redis, lambda _: {WAITS: 3.0}, job=INGEST_JOB)
    await redis.rpush(samples_key(INGEST_JOB, INSTANCE), damaged)  # type: ignore[misc] # both clients
    await redis.zadd(INSTANCES_KEY, {b"no-bar": 1.0, b"\xff|x": 2.0})
    (alert,) = (await callers.get(callers.operator, "/v1/alerts"))["alerts"]
    assert alert["name"] == "HeadraceNobodyWorks"


async def test_a_service_keeps_samples_after_what_is_none(redis: Redis) -> None:
    service = Service(redis)
    await redis.rpush(KEY, b"x")  # type: ignore[misc] # both clients
    await service.keep(**{AUDIO: 5.0})
    await service.keep(**{AUDIO: 9.0})
    assert (await service.hour())["audio_seconds"] == 4.0  # counted from the first sample that it can read


@pytest.mark.parametrize(("field", "value"), [("x:uploads", "1"), ("5", "y"), ("5:uploads", "nan"), (b"\xff:a", "inf")])
async def test_what_is_no_number_of_a_minute_is_left_out(
    callers: Callers, redis: Redis, field: str | bytes, value: str
) -> None:
    seconds, _ = await redis.time()
    minute = seconds // 60 - 1
    hour = day_history.hour_key(minute // 60)
    await redis.hset(hour, mapping={field: value})  # type: ignore[misc] # both clients
    await redis.hset(hour, mapping={day_history.field(minute, name): "6" for name in ("any", "jobs_failed")})  # type: ignore[misc] # both clients
    seen = await callers.get(callers.operator, "/v1/queue/history?hours=1")
    assert [value for value in seen["series"]["jobs_failed"] if value] == [6.0]
    assert (await callers.get(callers.operator, "/v1/queue"))["last_hour"]["jobs_failed"] == 6


async def test_without_samples_nothing_fires(callers: Callers) -> None:
    seen = await callers.get(callers.operator, "/v1/alerts")
    assert seen["alerts"] == []
    assert seen["evaluated_at"]


async def test_only_the_operator_sees_alerts(callers: Callers) -> None:
    for key, said in ((callers.acme, "operator"), (callers.globex, "observe")):  # acme's key is an admin's
        status, body = await callers.ingest.get("/v1/alerts", headers=bearer(key))
        assert (status, body["code"]) == (403, "forbidden")
        assert said in body["detail"]


async def test_without_redis_the_queue_is_shown_without_processors(settings: IngestSettings) -> None:
    operator = await new_key(settings, "operations", Scope.READ, operates=True)
    async with guarded(settings, redis_url=Secret("redis://127.0.0.1:1/0")) as ingest:
        status, seen = await ingest.get("/v1/queue", headers=bearer(operator.key))
        assert (status, seen["slots"], seen["last_hour"]) == (200, None, None)
        status, alerts = await ingest.get("/v1/alerts", headers=bearer(operator.key))
        assert (status, alerts["alerts"], alerts["evaluated_at"]) == (200, [], None)
        status, series = await ingest.get("/v1/queue/history?hours=1", headers=bearer(operator.key))
        assert status == 200
        assert set(series["series"]["uploads"]) == {None}


@pytest.mark.parametrize("hours", ["0", "25", "x"])
async def test_the_history_reaches_back_a_day(callers: Callers, hours: str) -> None:
    status, body = await callers.ingest.get(f"/v1/queue/history?hours={hours}", headers=bearer(callers.operator))
    assert (status, body["code"]) == (400, "invalid_parameter")
