"""Several limiters on one Redis keep one limit; without it each keeps its share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from redis.asyncio import Redis

from ingest_service.quotas.rate_limiter import MOST_SUBJECTS, Policy, RateLimiter, Verdict, lease_tokens
from ingest_service.quotas.redis_state import SharedRedis

NEVER_AGAIN = Policy(0.0001, 20)  # a token in hours
NOBODY = "redis://127.0.0.1:1"


@asynccontextmanager
async def limiters(redis_url: str, policy: Policy, processes: int = 2) -> AsyncIterator[list[RateLimiter]]:
    """As many processes would have: each its own connection."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(processes):
            redis = await stack.enter_async_context(Redis.from_url(redis_url))
            shared = await stack.enter_async_context(SharedRedis.opened(redis))
            opened.append(RateLimiter(shared, policy, processes))
        yield opened


async def granted(limiters: list[RateLimiter], each: int, subject: str = "a") -> list[Verdict]:
    """The verdicts for requests that come to all processes at once, those that let in."""
    verdicts = await asyncio.gather(*(limiter.take(subject) for limiter in limiters for _ in range(each)))
    return [verdict for verdict in verdicts if verdict.is_granted]


async def test_all_together_let_in_the_burst_and_not_one_more(redis_url: str) -> None:
    async with limiters(redis_url, NEVER_AGAIN) as pair:
        assert len(await granted(pair, 30)) == 20
        assert await granted(pair, 30) == []
        assert len(await granted(pair, 30, "b")) == 20  # another subject has its own


async def test_what_comes_one_by_one_is_counted_down(redis_url: str) -> None:
    async with limiters(redis_url, NEVER_AGAIN) as (first, second):
        remaining = [(await limiter.take("a")).remaining for limiter in [first, second] * 10]
        assert remaining == list(range(19, -1, -1))
        refused = await first.take("a")
        assert (refused.is_granted, refused.remaining) == (False, 0)
        assert 9000 < refused.wait_s <= 10_001


async def test_over_some_time_the_total_is_within_the_stated_bound(redis_url: str) -> None:
    policy = Policy(2000.0, 100)
    async with limiters(redis_url, policy) as pair:
        clock = asyncio.get_running_loop().time
        began_s = clock()
        total = 0
        while clock() - began_s < 0.5:
            total += len(await granted(pair, 20))
        most = policy.burst + policy.rate_per_s * (clock() - began_s) + 2 * lease_tokens(policy)
        assert policy.burst < total <= most


async def test_redis_is_not_asked_for_each_request(redis_url: str) -> None:
    policy = Policy(1000.0, 1000)
    async with limiters(redis_url, policy, 1) as (limiter,), Redis.from_url(redis_url) as redis:
        before = (await redis.info("commandstats")).get("cmdstat_evalsha", {}).get("calls", 0)
        for _ in range(200):
            assert (await limiter.take("a")).is_granted
        asked = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"] - before
        assert asked <= 200 / lease_tokens(policy) + 1


async def test_who_was_refused_is_refused_again_without_asking(redis_url: str) -> None:
    async with limiters(redis_url, Policy(0.0001, 1), 1) as (limiter,), Redis.from_url(redis_url) as redis:
        assert len(await granted([limiter], 50)) == 1
        await redis.flushall()  # now there would be tokens
        assert await granted([limiter], 50) == []


async def test_without_redis_each_lets_in_its_share(redis_url: str) -> None:
    del redis_url
    async with limiters(NOBODY, NEVER_AGAIN) as pair:
        assert len(await granted(pair, 30)) == 20
        assert len(await granted(pair[:1], 30, "b")) == 10


async def test_when_redis_is_back_it_is_asked_again(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest_service.quotas.redis_state.AGAIN_AFTER_S", 0.0)
    async with limiters(redis_url, NEVER_AGAIN, 1) as (limiter,):
        limiter._shared.is_away = True  # as after a failure
        async with asyncio.timeout(10):
            while limiter._shared.is_away:
                await limiter.take("a")
                await asyncio.sleep(0)
        assert await limiter.take("b") == Verdict(is_granted=True, remaining=19)


async def test_a_request_that_is_cancelled_takes_nothing_from_those_beside_it(redis_url: str) -> None:
    async with limiters(redis_url, NEVER_AGAIN, 1) as (limiter,):
        requests = [asyncio.create_task(limiter.take("a")) for _ in range(5)]
        await asyncio.sleep(0)
        requests[0].cancel()
        assert [verdict.is_granted for verdict in await asyncio.gather(*requests[1:])] == [True] * 4


async def test_subjects_are_not_remembered_without_end(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_SUBJECTS > 1000
    monkeypatch.setattr("ingest_service.quotas.rate_limiter.MOST_SUBJECTS", 10)
    async with limiters(redis_url, NEVER_AGAIN, 1) as (limiter,):
        for number in range(30):
            assert (await limiter.take(str(number))).is_granted
        assert len(limiter._leases) <= 10


@pytest.mark.parametrize(("rate", "burst", "tokens"), [(1, 1, 1), (19, 100, 1), (1000, 1000, 50), (1000, 8, 2)])
def test_the_tokens_that_are_taken_at_once(rate: float, burst: int, tokens: int) -> None:
    assert lease_tokens(Policy(rate, burst)) == tokens
