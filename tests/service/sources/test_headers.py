"""`audio_headers` of a job: sent to the origin of its URL alone, erased when the source is stored or the job ends."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from processor_service.errors import PermanentError, TransientError
from processor_service.maintenance.expire import forget_source_headers
from processor_service.sources.fetch_source import SourceFetcher
from processor_service.tasks.claim import ClaimedTask
from processor_service.tasks.retry import RetryPolicy
from processor_service.tasks.settle import settle
from shared.schemas.failures import FailureCode
from shared.schemas.source_headers import encode_headers, names_of
from shared.sealed import Seal
from shared.secret import Secret
from tests.service.processor.conftest import Claim
from tests.service.sources.conftest import FetcherWith, SubmitUrl
from tests.support.ingest.sounds import wav
from tests.support.sources.server import ETAG, Server, answering, redirecting, serving

AUDIO = wav()
KEY, OTHER_KEY = (Secret(base64.b64encode(bytes([number]) * 32).decode()) for number in (1, 2))
SENT = {"Authorization": "Bearer s3cret", "X-Api-Key": "s3cret too", "User-Agent": "client/1"}
NO_MORE = RetryPolicy(waits_s=(), longest_retry_after_s=0)

ClaimWith = Callable[..., Awaitable[ClaimedTask]]


@pytest.fixture
def claim_with(submit_url: SubmitUrl, claim_task: Claim, database: asyncpg.Pool) -> ClaimWith:
    """Insert a job with headers as the ingest does; claim its task."""

    async def claim_one(url: str, headers: dict[str, str] = SENT) -> ClaimedTask:
        task_id = await submit_url(url)
        job_id = await database.fetchval("SELECT job_id FROM tasks WHERE id = $1", task_id)
        sealed = Seal(KEY).seal(encode_headers(headers), str(job_id))
        await database.execute("INSERT INTO source_headers VALUES ($1, 'default', $2)", job_id, sealed)
        options = f'{{"audio_headers":"{names_of(headers)}"}}'
        await database.execute("UPDATE jobs SET options = $2 WHERE id = $1", job_id, options)
        return await claim_task(task_id)

    return claim_one


async def fetched(fetcher_with: FetcherWith, task: ClaimedTask, **values: Any) -> SourceFetcher:
    fetcher = await fetcher_with(**{"encryption_keys": KEY, **values})
    await fetcher.fetch(task)
    return fetcher


async def stored(database: asyncpg.Pool) -> int:
    return int(await database.fetchval("SELECT count(*) FROM source_headers"))


async def test_headers_are_sent_with_every_connection_and_then_erased(
    claim_with: ClaimWith, fetcher_with: FetcherWith, database: asyncpg.Pool
) -> None:
    hops = (
        redirecting("/elsewhere"),
        serving(AUDIO, ETAG, cut_after=20),
        redirecting("/elsewhere"),
        serving(AUDIO, ETAG),
    )
    async with Server(*hops).listening() as server:
        await fetched(fetcher_with, await claim_with(server.url))

    assert len(server.asked) == 4
    for asked in server.asked:
        assert asked.headers["authorization"] == "Bearer s3cret"
        assert asked.headers["x-api-key"] == "s3cret too"
        assert asked.headers["user-agent"] == "client/1"
    assert server.asked[-1].headers["range"] == "bytes=20-"
    assert await stored(database) == 0


async def test_headers_do_not_follow_a_redirect_to_another_origin_nor_back(
    claim_with: ClaimWith, fetcher_with: FetcherWith
) -> None:
    """Another port is another origin. What it redirects back to was not the client's choice."""
    async with (
        Server(serving(AUDIO)).listening() as first,
        Server(redirecting(f"http://127.0.0.1:{first.port}/admin")).listening() as other,
    ):
        first._scripts.insert(0, redirecting(other.url))
        await fetched(fetcher_with, await claim_with(first.url))

    assert first.asked[0].headers["authorization"] == "Bearer s3cret"
    for asked in (other.asked[0], first.asked[1]):
        assert not {"authorization", "x-api-key"} & set(asked.headers)
        assert asked.headers["user-agent"] == "Headrace/1"


async def test_another_name_of_the_same_address_is_another_origin(
    claim_with: ClaimWith, fetcher_with: FetcherWith
) -> None:
    async with Server(serving(AUDIO)).listening() as server:
        server._scripts.insert(0, redirecting(f"http://localhost:{server.port}/"))
        await fetched(fetcher_with, await claim_with(server.url))
    assert "authorization" not in server.asked[1].headers


async def test_a_job_without_headers_asks_for_none(
    submit_url: SubmitUrl, claim_task: Claim, fetcher_with: FetcherWith, database: asyncpg.Pool
) -> None:
    """Not even the table: it is gone here."""
    await database.execute("ALTER TABLE source_headers RENAME TO no_headers")
    async with Server(serving(AUDIO)).listening() as server:
        await fetched(fetcher_with, await claim_task(await submit_url(server.url)))
    assert "authorization" not in server.asked[0].headers


async def test_headers_are_kept_for_the_next_attempt(
    claim_with: ClaimWith, fetcher_with: FetcherWith, database: asyncpg.Pool
) -> None:
    async with Server(answering(503), serving(AUDIO)).listening() as server:
        task = await claim_with(server.url)
        with pytest.raises(TransientError):
            await fetched(fetcher_with, task)
        assert await stored(database) == 1
        await fetched(fetcher_with, task)
    assert server.asked[1].headers["authorization"] == "Bearer s3cret"
    assert await stored(database) == 0


async def test_headers_are_erased_when_the_job_fails(
    claim_with: ClaimWith, fetcher_with: FetcherWith, database: asyncpg.Pool
) -> None:
    async with Server(answering(403)).listening() as server:
        task = await claim_with(server.url)
        fetcher = await fetcher_with(encryption_keys=KEY)
        outcome = await fetcher.leases.hold(task, fetcher.fetch(task))
        await settle(database, task, outcome, policy=NO_MORE)
    assert await stored(database) == 0
    failure = await database.fetchval("SELECT failure::text FROM tasks WHERE id = $1", task.id)
    assert "s3cret" not in failure


@pytest.mark.parametrize(
    ("keys", "said"), [(Secret(""), "has no HEADRACE_ENCRYPTION_KEYS"), (OTHER_KEY, "the key was removed")]
)
async def test_headers_that_no_key_opens_fail_the_job_in_a_sentence(
    claim_with: ClaimWith, fetcher_with: FetcherWith, keys: Secret, said: str
) -> None:
    async with Server(serving(AUDIO)).listening() as server:
        with pytest.raises(PermanentError) as caught:
            await fetched(fetcher_with, await claim_with(server.url), encryption_keys=keys)
    assert (caught.value.code, server.asked) == (FailureCode.SOURCE_HEADERS_ERASED, [])
    assert said in caught.value.message


async def test_headers_of_another_job_are_not_opened(
    claim_with: ClaimWith, fetcher_with: FetcherWith, database: asyncpg.Pool
) -> None:
    async with Server(serving(AUDIO)).listening() as server:
        task, other = await claim_with(server.url), await claim_with(server.url)
        await database.execute("DELETE FROM source_headers WHERE job_id = $1", task.job_id)
        await database.execute("UPDATE source_headers SET job_id = $1 WHERE job_id = $2", task.job_id, other.job_id)
        with pytest.raises(PermanentError):
            await fetched(fetcher_with, task)
        with pytest.raises(PermanentError, match="are erased"):
            await fetched(fetcher_with, other)
    assert server.asked == []


async def test_maintenance_erases_what_no_fetch_needs(claim_with: ClaimWith, database: asyncpg.Pool) -> None:
    tasks = [await claim_with("http://127.0.0.1:1/") for _ in range(4)]
    for task, change in zip(
        tasks[1:], ("status = 'CANCELLED'", "source_sha256 = 'ab'", "status = 'FAILED'"), strict=True
    ):
        await database.execute(f"UPDATE jobs SET {change} WHERE id = $1", task.job_id)  # noqa: S608 - constants
    async with database.acquire() as connection:
        await forget_source_headers(connection)
    assert await database.fetchval("SELECT array_agg(job_id) FROM source_headers") == [tasks[0].job_id]
