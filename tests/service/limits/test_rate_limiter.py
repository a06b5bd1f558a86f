"""Several limiters on one Redis enforce one limit; without Redis each enforces its share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from redis.asyncio import Redis

from ingest_service.quotas.rate_limiter import MAX_SUBJECTS, Policy, RateDecision, RateLimiter, lease_tokens
from ingest_service.quotas.redis_state import SharedRedis

NEVER_AGAIN = Policy(0.0001, 20)  # one token in hours
UNREACHABLE = "redis://127.0.0.1:1"


@asynccontextmanager
async def limiters(redis_url: str, policy: Policy, processes: int = 2) -> AsyncIterator[list[RateLimiter]]:
    """The limiters of several processes, each with its own connection."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(processes):
            redis = await stack.enter_async_context(Redis.from_url(redis_url))
            shared = await stack.enter_async_context(SharedRedis.opened(redis))
            opened.append(RateLimiter(shared, policy, processes))
        yield opened


async def granted(limiters: list[RateLimiter], each: int, subject: str = "a") -> list[RateDecision]:
    """The granting decisions for concurrent requests to all processes."""
    decisions = await asyncio.gather(*(limiter.take(subject) for limiter in limiters for _ in range(each)))
    return [decision for decision in decisions if decision.is_granted]


async def test_all_processes_together_grant_exactly_the_burst(redis_url: str) -> None:
    async with limiters(redis_url, NEVER_AGAIN) as pair:
        assert len(await granted(pair, 30)) == 20
        assert await granted(pair, 30) == []
        assert len(await granted(pair, 30, "b")) == 20  # another subject has its own


async def test_sequential_requests_count_down(redis_url: str) -> None:
    async with limiters(redis_url, NEVER_AGAIN) as (first, second):
        remaining = [(await limiter.take("a")).remaining for limiter in [first, second] * 10]
        assert remaining == list(range(19, -1, -1))
        refused = await first.take("a")
        assert (refused.is_granted, refused.remaining) == (False, 0)
        assert 9000 < refused.wait_s <= 10_001


async def test_the_total_over_time_is_within_the_stated_bound(redis_url: str) -> None:
    policy = Policy(2000.0, 100)
    async with limiters(redis_url, policy) as pair:
        clock = asyncio.get_running_loop().time
        began_s = clock()
        total = 0
        while clock() - began_s < 0.5:
            total += len(await granted(pair, 20))
        most = policy.burst + policy.rate_per_s * (clock() - began_s) + 2 * lease_tokens(policy)
        assert policy.burst < total <= most


async def test_not_every_request_asks_redis(redis_url: str) -> None:
    policy = Policy(1000.0, 1000)
    async with limiters(redis_url, policy, 1) as (limiter,), Redis.from_url(redis_url) as redis:
        before = (await redis.info("commandstats")).get("cmdstat_evalsha", {}).get("calls", 0)
        for _ in range(200):
            assert (await limiter.take("a")).is_granted
        asked = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] - before
        assert asked <= 200 / lease_tokens(policy) + 1


async def test_a_refused_subject_is_refused_again_without_asking_redis(redis_url: str) -> None:
    async with limiters(redis_url, Policy(0.0001, 1), 1) as (limiter,), Redis.from_url(redis_url) as redis:
        assert len(await granted([limiter], 50)) == 1
        await redis.flushall()  # now the bucket is full
        assert await granted([limiter], 50) == []


async def test_without_redis_each_process_grants_its_share(redis_url: str) -> None:
    del redis_url
    async with limiters(UNREACHABLE, NEVER_AGAIN) as pair:
        assert len(await granted(pair, 30)) == 20
        assert len(await granted(pair[:1], 30, "b")) == 10


async def test_redis_is_used_again_after_an_outage(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.quotas.redis_state.PROBE_EVERY_S", 0.0)
    async with limiters(redis_url, NEVER_AGAIN, 1) as (limiter,):
        limiter._shared.is_unavailable = True  # as after a failure
        async with asyncio.timeout(10):
            while limiter._shared.is_unavailable:
                await limiter.take("a")
                await asyncio.sleep(0)
        assert await limiter.take("b") == RateDecision(is_granted=True, remaining=19)


async def test_a_cancelled_request_does_not_affect_the_others(redis_url: str) -> None:
    async with limiters(redis_url, NEVER_AGAIN, 1) as (limiter,):
        requests = [asyncio.create_task(limiter.take("a")) for _ in range(5)]
        await asyncio.sleep(0)
        requests[0].cancel()
        assert [decision.is_granted for decision in await asyncio.gather(*requests[1:])] == [True] * 4


async def test_the_number_of_subjects_in_memory_is_bounded(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_SUBJECTS > 1000
    monkeypatch.setattr("ingest_service.quotas.rate_limiter.MAX_SUBJECTS", 10)
    async with limiters(redis_url, NEVER_AGAIN, 1) as (limiter,):
        for number in range(30):
            assert (await limiter.take(str(number))).is_granted
        assert len(limiter._subjects) <= 10


@pytest.mark.parametrize(("rate", "burst", "tokens"), [(1, 1, 1), (19, 100, 1), (1000, 1000, 50), (1000, 8, 2)])
def test_the_number_of_tokens_taken_at_once(rate: float, burst: int, tokens: int) -> None:
    assert lease_tokens(Policy(rate, burst)) == tokens
