"""A job's queue: chosen by its option, its tenant or its model, stored with the job, kept by each later dispatch."""

import io
from base64 import b64encode
from typing import Any

import pytest
from redis.asyncio import Redis

from ingest_service.settings import IngestSettings
from shared.queue.dispatch import COMPUTE_QUEUE, FETCH_QUEUE, compute_queue
from shared.settings import SettingsError, load_settings
from tests.service.ingest.test_redrive import redrive
from tests.service.ingest.test_submit_url import post as post_url
from tests.support.ingest.records import failed
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav
from tests.support.ingest.tus_client import Tus

NAMES: dict[str, Any] = {"queue_names": ("gpu", "bulk", "interactive"), "model_queues": ("large=gpu", "tiny=bulk")}
OF_TENANT = "INSERT INTO tenant_quotas (tenant, queue) VALUES ('default', $1)"
WAV_TYPE = {"Content-Type": "audio/wav"}


@pytest.fixture(autouse=True)
def _always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.quotas.quota_usage.CACHED_WITHOUT_QUOTAS_S", 0.0)


async def queue_of(ingest: Ingest, job_id: str) -> str:
    (row,) = await ingest.sql("SELECT queue FROM jobs WHERE id = $1::uuid", job_id)
    return str(row["queue"])


async def until_enqueued(ingest: Ingest, job_id: str, queue: str) -> None:
    """Wait until the last dispatch of the job's newest task is in a queue in Redis."""
    query = "SELECT id, dispatch_no FROM tasks WHERE job_id = $1::uuid ORDER BY generation DESC LIMIT 1"
    (task,) = await ingest.sql(query, job_id)
    async with Redis.from_url(ingest.settings.redis_url.reveal()) as redis:

        async def is_there() -> bool:
            return await redis.zscore(queue, f"{task['id']}.{task['dispatch_no']}") is not None

        await until(is_there)


@pytest.mark.parametrize(
    ("options", "of_tenant", "queue"),
    [
        ({}, None, "default"),
        ({"model": "base"}, None, "default"),
        ({"model": "large"}, None, "gpu"),
        ({"model": "large"}, "bulk", "bulk"),
        ({"model": "large", "queue": "interactive"}, "bulk", "interactive"),
        ({"model": "large", "queue": "default"}, "bulk", "default"),
    ],
)
async def test_the_option_decides_then_the_tenant_then_the_model(
    settings: IngestSettings, options: dict[str, str], of_tenant: str | None, queue: str
) -> None:
    async with serving(settings, **NAMES) as ingest:
        if of_tenant:
            await ingest.sql(OF_TENANT, of_tenant)
        job_id = await ingest.submit(wav(), **options)
        assert await queue_of(ingest, job_id) == queue
        await until_enqueued(ingest, job_id, compute_queue(queue))


async def test_every_upload_method_takes_the_option(settings: IngestSettings) -> None:
    async with serving(settings, **NAMES) as ingest:
        _, form = await ingest.post({"audio_file": io.BytesIO(wav()), "queue": "bulk"})
        _, once = await ingest.post(
            io.BytesIO(wav()), "/v1/jobs?queue=bulk", headers={**WAV_TYPE, "Idempotency-Key": "a-key"}
        )
        _, url = await post_url(ingest, {"audio_url": "http://127.0.0.1:9/a.wav", "queue": "bulk"})
        for answer in (form, once, url):
            assert await queue_of(ingest, answer["job_id"]) == "bulk"
        await until_enqueued(ingest, url["job_id"], FETCH_QUEUE)  # its source is fetched first


async def test_an_unknown_queue_is_refused_with_the_names(settings: IngestSettings) -> None:
    async with serving(settings, **NAMES) as ingest:
        for wanted in ("cpu", "deliver", "GPU", "a:b"):
            status, problem = await ingest.post(io.BytesIO(wav()), f"/v1/jobs?queue={wanted}", headers=WAV_TYPE)
            assert (status, problem["code"]) == (400, "invalid_option")
            assert "queue" in problem["detail"]
        _, problem = await ingest.post(io.BytesIO(wav()), "/v1/jobs?queue=cpu", headers=WAV_TYPE)
        assert problem["detail"] == "`queue` must be one of `default`, `gpu`, `bulk`, `interactive`."
        await ingest.assert_nothing_is_left()


async def test_a_resumable_upload_is_refused_before_its_first_byte(settings: IngestSettings) -> None:
    async with serving(settings, **NAMES) as ingest:
        answer = await Tus.to(ingest).create(len(wav()), Upload_Metadata=f"queue {b64encode(b'cpu').decode()}")
        assert (answer.status, answer.code) == (400, "invalid_option")
        gpu = f"queue {b64encode(b'gpu').decode()}"
        location = await Tus.to(ingest).created(len(wav()), Upload_Metadata=gpu)
        await Tus.to(ingest).patch(location, 0, wav())
        (job,) = await ingest.sql("SELECT queue FROM jobs")
        assert job["queue"] == "gpu"


async def test_without_the_setting_there_is_one_queue(ingest: Ingest) -> None:
    status, problem = await ingest.post(io.BytesIO(wav()), "/v1/jobs?queue=gpu", headers=WAV_TYPE)
    assert (status, problem["detail"]) == (400, "`queue` must be one of `default`.")
    job_id = await ingest.submit(wav(), queue="default")
    await until_enqueued(ingest, job_id, COMPUTE_QUEUE)


async def test_a_redrive_stays_in_its_queue(settings: IngestSettings) -> None:
    async with serving(settings, **NAMES) as ingest:
        job_id = await failed(ingest)
        await ingest.sql("UPDATE jobs SET queue = 'gpu'")
        status, _ = await redrive(ingest, job_id)
        assert status == 202
        await until_enqueued(ingest, job_id, compute_queue("gpu"))


@pytest.mark.parametrize("pair", ["large", "large=", "large=GPU", "=gpu", "large=cpu"])
def test_a_model_needs_a_queue_that_exists(settings: IngestSettings, pair: str) -> None:
    environ = {
        "HEADRACE_DATABASE_URL": settings.database_url.reveal(),
        "HEADRACE_REDIS_URL": settings.redis_url.reveal(),
        "HEADRACE_STORAGE_URL": settings.storage_url,
        "HEADRACE_QUEUE_NAMES": "gpu",
    }
    assert load_settings(IngestSettings, {**environ, "HEADRACE_MODEL_QUEUES": "large=gpu"}).job_queues.of_models
    with pytest.raises(SettingsError, match="HEADRACE_MODEL_QUEUES"):
        load_settings(IngestSettings, {**environ, "HEADRACE_MODEL_QUEUES": pair})
