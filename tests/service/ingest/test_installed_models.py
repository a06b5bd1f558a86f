"""A model that certainly no processor has is refused at submission, by every upload method."""

import base64
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from ingest_service.errors import RefusedError
from ingest_service.installed_models import InstalledModels
from ingest_service.settings import IngestSettings
from shared.connections.redis_shards import alone
from shared.queue.announced_models import (
    ANNOUNCED_WITHIN_S,
    ANNOUNCES,
    ANY_MODEL,
    MODELS_KEY,
    SEEN_WITHIN_S,
    Announced,
    announce_models,
    announce_summaries,
    announced_models,
)
from shared.queue.dispatch import PROCESSOR_SEEN_KEY
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav

WAV = {"Content-Type": "audio/wav"}


@pytest_asyncio.fixture
async def redis(settings: IngestSettings) -> AsyncIterator[Any]:
    async with Redis.from_url(settings.redis_url.reveal()) as client:
        yield client


async def announce(redis: Any, *names: str) -> None:
    """Do what a processor does every few seconds."""
    await redis.set(PROCESSOR_SEEN_KEY, ANNOUNCES)
    await announce_models(redis, names)


async def make_older(redis: Any, name: str, by_s: float) -> None:
    await redis.zincrby(MODELS_KEY, -by_s * 1000, name)


async def known(redis: Any) -> InstalledModels:
    models = InstalledModels(alone(redis))
    await models.refresh()
    return models


async def test_the_models_of_all_processors_count(redis: Any) -> None:
    await announce(redis, "tiny", "base")
    await announce(redis, "base", "large-v3")
    models = await known(redis)

    assert models.names == ("base", "large-v3", "tiny")
    for accepted in (None, "base", "tiny", "large-v3"):
        models.require(accepted)
    with pytest.raises(RefusedError, match="must be one of `base`, `large-v3`, `tiny`, or left out") as refusal:
        models.require("small")
    assert refusal.value.code == "model_unavailable"


async def test_nothing_is_refused_before_anything_is_known(redis: Any) -> None:
    InstalledModels(alone(redis)).require("small")
    models = await known(redis)
    assert models.names is None
    models.require("small")


async def test_the_first_processor_is_known_at_the_next_refresh(redis: Any) -> None:
    models = await known(redis)  # the ingest is up before its processor
    await announce(redis, "base")
    await models.refresh()
    assert models.names == ("base",)
    with pytest.raises(RefusedError):
        models.require("small")


async def test_a_model_that_was_not_announced_lately_is_gone(redis: Any) -> None:
    await announce(redis, "base", "small")
    await make_older(redis, "small", ANNOUNCED_WITHIN_S + 1)
    models = await known(redis)
    assert models.names == ("base",)
    with pytest.raises(RefusedError):
        models.require("small")

    await announce(redis, "tiny")
    await make_older(redis, "tiny", SEEN_WITHIN_S + 1)  # of a processor that restarts
    assert (await known(redis)).names == ("base", "tiny")

    await make_older(redis, "base", SEEN_WITHIN_S + 1)
    models = await known(redis)
    assert models.names is None  # no processor runs: the job waits
    models.require("small")


async def test_an_engine_that_takes_every_name_refuses_nothing(redis: Any) -> None:
    await announce(redis, ANY_MODEL, "base")
    models = await known(redis)
    assert models.names == ("base",)
    models.require("small")


async def test_a_summary_needs_a_processor_with_a_chat_provider(redis: Any) -> None:
    (await known(redis)).require_summaries(is_wanted=True)  # no processor is known yet
    await announce(redis, "base")
    models = await known(redis)
    models.require_summaries(is_wanted=False)
    with pytest.raises(RefusedError, match="No processor has a chat provider: leave out `summary`") as refusal:
        models.require_summaries(is_wanted=True)
    assert refusal.value.code == "invalid_option"

    await announce_summaries(redis)
    await models.refresh()
    models.require_summaries(is_wanted=True)


async def test_a_processor_of_an_earlier_version_may_have_any_model(redis: Any) -> None:
    await announce(redis, "base")
    await redis.set(PROCESSOR_SEEN_KEY, b"")  # what such a processor writes
    models = await known(redis)
    await announce(redis, "base")
    await models.refresh()  # the next poll of a newer one does not show that the earlier one ended
    assert models.names is None
    models.require("small")


async def test_models_are_unknown_while_redis_is_unavailable() -> None:
    async with Redis.from_url("redis://127.0.0.1:1") as nowhere:
        models = await known(nowhere)
        assert models.names is None
        models.require("small")


async def test_announcements_expire(redis: Any) -> None:
    await announce(redis, "base")
    await make_older(redis, "base", 2 * 24 * 3600)
    await announce(redis, "tiny")
    assert await redis.zrange(MODELS_KEY, 0, -1) == [b"tiny"]
    assert await redis.pttl(MODELS_KEY) > 0
    assert await announced_models(redis) == Announced(frozenset({"tiny"}), is_complete=True)


@pytest_asyncio.fixture
async def ingest(settings: IngestSettings, redis: Any) -> AsyncIterator[Ingest]:
    """An ingest that knows the models of its processors."""
    await announce(redis, "base")
    async with serving(settings) as running:

        async def is_refused() -> bool:
            creating = tus("other")
            async with running.client.post(running.url + "/v1/uploads", headers=creating) as answer:
                return answer.status == 400

        await until(is_refused)
        yield running


def tus(model: str) -> dict[str, str]:
    metadata = f"model {base64.b64encode(model.encode()).decode()}"
    return {"Tus-Resumable": "1.0.0", "Upload-Length": "1000", "Upload-Metadata": metadata}


async def by_form(ingest: Ingest, model: str, size: int) -> tuple[int, Any]:
    data = aiohttp.FormData()
    data.add_field("model", model)
    data.add_field("audio_file", wav(size), filename="a.wav")
    return await ingest.post(data)


async def by_form_with_the_model_last(ingest: Ingest, model: str, size: int) -> tuple[int, Any]:
    data = aiohttp.FormData()
    data.add_field("audio_file", wav(size), filename="a.wav")
    data.add_field("model", model)
    return await ingest.post(data)


async def by_raw_body(ingest: Ingest, model: str, size: int) -> tuple[int, Any]:
    return await ingest.post(io.BytesIO(wav(size)), params={"model": model}, headers=WAV)


async def by_url(ingest: Ingest, model: str, _: int) -> tuple[int, Any]:
    async with ingest.client.post(
        ingest.url + "/v1/jobs", json={"audio_url": "https://example.com/a.wav", "model": model}
    ) as answer:
        return answer.status, await answer.json(content_type=None)


@pytest.mark.parametrize("size", [1000, 300 << 10], ids=["small", "large"])
@pytest.mark.parametrize("submit", [by_form, by_form_with_the_model_last, by_raw_body, by_url])
async def test_every_upload_method(ingest: Ingest, submit: Any, size: int) -> None:
    status, problem = await submit(ingest, "large-v3", size)
    assert (status, problem["code"]) == (400, "model_unavailable")
    assert "`large-v3`" in problem["detail"]
    assert "`base`" in problem["detail"]
    await ingest.assert_nothing_is_left()
    assert (await submit(ingest, "base", size))[0] == 202


async def test_a_resumable_upload_is_refused_when_it_is_created(ingest: Ingest) -> None:
    async with ingest.client.post(ingest.url + "/v1/uploads", headers=tus("large-v3")) as answer:
        problem = await answer.json(content_type=None)
    assert (answer.status, problem["code"]) == (400, "model_unavailable")
    async with ingest.client.post(ingest.url + "/v1/uploads", headers=tus("base")) as answer:
        assert answer.status == 201


async def test_a_repeat_gets_its_answer_although_the_model_is_gone(ingest: Ingest, redis: Any) -> None:
    headers = WAV | {"Idempotency-Key": "one"}
    first = await ingest.post(wav(), params={"model": "base"}, headers=headers)
    await redis.delete(MODELS_KEY)
    await announce(redis, "tiny")

    async def is_gone() -> bool:
        return (await by_url(ingest, "base", 0))[0] == 400

    await until(is_gone)
    assert await ingest.post(wav(), params={"model": "base"}, headers=headers) == first
