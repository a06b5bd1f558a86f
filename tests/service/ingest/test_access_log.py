"""Which requests are logged: a fraction of the successful ones by setting, all others always."""

import json
import logging
from typing import Any

import pytest
from yarl import URL

from ingest_service.settings import IngestSettings
from shared.telemetry.logs import JsonFormatter
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


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/v1/audio/speech", "/v1/audio/speech"),
        ("/v1/job?api_key=secret", "/v1/job"),
        ("/a%0Ab%1B%5B31m%E2%80%AE", "/a�b�[31m�"),
        ("/%C3%A4%20b", "/ä b"),
        ("/" + "x" * 5000, "/" + "x" * 199 + "…"),
        ("/v1/job/whsec_bWF5IGJlIGtub3du", "/v1/job/whsec_…"),
        (f"/v1/hr_0123456789abcdef_{'s' * 43}", "/v1/hr_0123456789abcdef_…"),
    ],
)
async def test_the_path_that_no_route_has_is_logged(
    ingest: Ingest, caplog: pytest.LogCaptureFixture, path: str, logged: str
) -> None:
    caplog.set_level(logging.INFO)
    async with ingest.client.get(URL(ingest.url + path, encoded=True)) as answer:
        assert answer.status == 404
    lines = [json.loads(JsonFormatter().format(one)) for one in caplog.records if one.getMessage() == "request"]
    assert [line["not_found_path"] for line in lines] == [logged]


async def test_no_other_request_logs_its_path(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    job_id = await ingest.submit(wav())
    for path in (f"/v1/jobs/{job_id}", "/v1/jobs?limit=0", "/v1/jobs/nonsense"):  # a value may be a secret
        await ingest.get(path)
    assert not any("not_found_path" in vars(one)["fields"] for one in caplog.records if one.getMessage() == "request")
