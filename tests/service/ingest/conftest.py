"""Fixtures of the ingest's tests: its settings, and a running one."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ingest_service.settings import IngestSettings
from shared.secret import Secret
from tests.support.ingest.serving import Ingest, serving


@pytest.fixture
def settings(service_database_url: str, redis_url: str, storage_url: str) -> IngestSettings:
    return IngestSettings(
        database_url=Secret(service_database_url),
        redis_url=Secret(redis_url),
        storage_url=storage_url,
        auth="none",
        allowed_hosts=("x",),  # of the requests that tests write by hand
        ingest_processes=1,
        asr_routes=True,  # so that tests of all routes find them
    )


@pytest_asyncio.fixture
async def ingest(settings: IngestSettings) -> AsyncIterator[Ingest]:
    async with serving(settings) as running:
        yield running
