"""Which requests are logged: a fraction of the successful ones by setting, all others always."""

import logging
from typing import Any

import pytest

from ingest_service.settings import IngestSettings
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav

REQUESTS = 40


async def statuses(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> list[Any]:
    """Return the logged requests, of many successful and two failed ones."""
    caplog.set_level(logging.INFO)
    for _ in range(REQUESTS):
        assert (await ingest.get("/v1/jobs"))[0] == 200
    assert (await ingest.get("/v1/jobs/nonsense"))[0] == 404
    assert (await ingest.post(wav(), headers={"Content-Type": "text/plain"}))[0] == 415
    return [vars(record)["fields"]["status"] for record in caplog.records if record.getMessage() == "request"]


@pytest.mark.parametrize(
    ("sample", "logged"), [(1.0, range(REQUESTS, REQUESTS + 1)), (0.0, range(1)), (0.5, range(4, 37))]
)
async def test_a_sample_of_successful_and_all_failed_requests_are_logged(
    settings: IngestSettings, caplog: pytest.LogCaptureFixture, sample: float, logged: range
) -> None:
    async with serving(settings, access_log_sample=sample) as ingest:
        found = await statuses(ingest, caplog)
    assert found[-2:] == [404, 415]
    assert found.count(200) in logged
