"""A running pair per test module, after one completed job, one failed job and one rejected upload."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.local.postgres import Postgres
from deploy.local.valkey import Valkey
from tests.support.databases import TEMPLATE, new_database
from tests.support.ingest.serving import until
from tests.support.ingest.sounds import wav
from tests.support.metrics.pair import Pair, running_pair
from tests.support.metrics.scraped import Scraped

DAMAGED_MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + bytes(range(256)) * 16


@pytest_asyncio.fixture(scope="module")
async def pair(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    async with new_database(postgres, TEMPLATE) as url, running_pair(url, valkey.url, folder) as pair:
        done = await pair.client.submit(wav(320_000), webhook_url=pair.receiver.url)
        failed = await pair.client.submit(DAMAGED_MP4, webhook_url=pair.receiver.url)
        assert (await pair.client.try_submit(b"<html>"))[0] == 415
        assert [(await pair.client.ended(job))["status"] for job in (done, failed)] == ["COMPLETED", "FAILED"]
        await until(lambda: _webhooks_delivered(pair), timeout_s=30)
        yield pair


async def _webhooks_delivered(pair: Pair) -> bool:
    text = (await pair.texts())[pair.processor_url]
    return Scraped(text).get("headrace_processor_attempts_total", kind="deliver", outcome="done") == 2


@pytest_asyncio.fixture
async def ingest(pair: Pair) -> Scraped:
    return Scraped((await pair.texts())[pair.ingest_url])


@pytest_asyncio.fixture
async def processor(pair: Pair) -> Scraped:
    return Scraped((await pair.texts())[pair.processor_url])
