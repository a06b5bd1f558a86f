"""The request rate is limited by key or tenant over all processes, and every answer has RateLimit headers."""

import asyncio

import aiohttp
import pytest

from ingest_service.settings import IngestSettings
from shared.secret import Secret
from tests.service.ingest.test_processes import several
from tests.support.ingest.api_keys import bearer, guarded, new_key
from tests.support.ingest.scraping import scrape
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav

SLOWLY = 0.001  # requests per second: no token is refilled during a test


async def ask(ingest: Ingest, path: str = "/v1/jobs", **headers: str) -> aiohttp.ClientResponse:
    async with ingest.client.get(ingest.url + path, headers=headers) as answer:
        await answer.read()
        return answer


async def test_over_the_limit_is_a_429_with_retry_after(settings: IngestSettings) -> None:
    async with serving(settings, rate_limit=SLOWLY, rate_burst=2) as ingest:
        for left in (1, 0):
            answer = await ask(ingest)
            assert answer.status == 200
            assert answer.headers["RateLimit-Policy"] == '"requests";q=2;w=2000'
            assert answer.headers["RateLimit"] == f'"requests";r={left};t={(2 - left) * 1000}'
        answer = await ask(ingest)
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (429, "rate_limited")
        assert answer.headers["RateLimit-Policy"] == '"requests";q=2;w=2000'
        assert 900 < int(answer.headers["Retry-After"]) <= 1001
        assert answer.headers["RateLimit"] == f'"requests";r=0;t={answer.headers["Retry-After"]}'


async def test_no_header_or_path_bypasses_the_limit(settings: IngestSettings) -> None:
    async with serving(settings, rate_limit=SLOWLY, rate_burst=1) as ingest:
        assert (await ask(ingest)).status == 200
        forged = {"X-Forwarded-For": "10.9.8.7", "Forwarded": "for=10.9.8.7", "X-Real-IP": "10.9.8.7"}
        assert (await ask(ingest, **forged)).status == 429
        assert (await ask(ingest, "/nowhere", Authorization="Bearer hr_other")).status == 429


async def test_an_upload_over_the_limit_is_refused_before_its_body_and_counted(settings: IngestSettings) -> None:
    async with serving(settings, rate_limit=SLOWLY, rate_burst=1) as ingest:
        before = (await scrape(ingest)).get("uploads_refused_total", code="rate_limited")
        assert (await ask(ingest)).status == 200
        status, problem = await ingest.post(wav(), headers={"Content-Type": "audio/wav"})
        assert (status, problem["code"]) == (429, "rate_limited")
        await ingest.assert_nothing_is_left()
        assert (await scrape(ingest)).get("uploads_refused_total", code="rate_limited") == before + 1


async def test_health_and_metrics_are_not_limited(settings: IngestSettings) -> None:
    async with serving(settings, rate_limit=SLOWLY, rate_burst=1) as ingest:
        assert (await ask(ingest)).status == 200
        for path in ("/health/live", "/health/ready", "/metrics"):
            answer = await ask(ingest, path)
            assert answer.status == 200
            assert "RateLimit" not in answer.headers


async def test_each_key_has_its_own_rate(settings: IngestSettings) -> None:
    keys = [(await new_key(settings, "acme", purpose=purpose)).key for purpose in ("one", "other")]
    async with guarded(settings, rate_limit=SLOWLY, rate_burst=1) as ingest:
        assert (await ask(ingest)).status == 401
        for key in keys:
            assert [(await ask(ingest, **bearer(key))).status for _ in range(3)] == [200, 429, 429]


async def test_without_a_limit_there_are_no_rate_limit_headers(ingest: Ingest) -> None:
    assert not {"RateLimit", "RateLimit-Policy"} & set((await ask(ingest)).headers)


async def test_without_redis_a_process_grants_its_share(settings: IngestSettings) -> None:
    async with serving(
        settings, redis_url=Secret("redis://127.0.0.1:1"), rate_limit=SLOWLY, rate_burst=4, ingest_processes=2
    ) as ingest:
        assert [(await ask(ingest)).status for _ in range(4)] == [200, 200, 429, 429]


@pytest.mark.parametrize(("rate", "burst"), [(SLOWLY, 25), (10.0, 10)])
async def test_two_processes_enforce_one_limit(settings: IngestSettings, rate: float, burst: int) -> None:
    """Below 20 requests per second the bound is exact: the burst and the refill."""
    limited = {"HEADRACE_RATE_LIMIT": str(rate), "HEADRACE_RATE_BURST": str(burst)}
    async with several(settings, **limited) as ingest:
        clock = asyncio.get_running_loop().time
        began_s = clock()
        statuses = await asyncio.gather(*(_status(ingest.url) for _ in range(100)))
        flowed_in = rate * (clock() - began_s)
    assert set(statuses) == {200, 429}
    assert burst <= statuses.count(200) <= burst + flowed_in


async def _status(url: str) -> int:
    """On a new connection, which either process may accept."""
    async with aiohttp.ClientSession() as client, client.get(url + "/v1/jobs") as answer:
        return answer.status
