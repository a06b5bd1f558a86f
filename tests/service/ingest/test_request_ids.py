"""Each request has an id in its answer and log lines, its job in the log, and its durations in a header."""

import logging
import re
from typing import Any

import aiohttp
import pytest

from ingest_service.settings import IngestSettings
from shared.ids import new_id
from shared.secret import Secret
from tests.support.ingest.serving import Ingest, serving
from tests.support.ingest.sounds import wav

WAV_TYPE = {"Content-Type": "audio/wav"}
OUR_OWN = re.compile(r"[0-9a-f]{32}")


def fields(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    return [vars(record)["fields"] for record in caplog.records if record.getMessage() == event]


async def headers_of(ingest: Ingest, path: str, **headers: str) -> Any:
    async with ingest.client.get(ingest.url + path, headers=headers) as answer:
        await answer.read()
        return answer.headers


@pytest.mark.parametrize(
    "sent", ["a", "req-4711", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "x" * 128]
)
async def test_a_valid_request_id_is_kept(ingest: Ingest, sent: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert (await headers_of(ingest, "/v1/jobs", **{"X-Request-Id": sent})).getall("X-Request-Id") == [sent]
    assert fields(caplog, "request")[-1]["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "two words", 'quo"te', "x" * 129, "caf\u00e9", "<script>", "a\tb"])
async def test_an_invalid_request_id_is_replaced(ingest: Ingest, sent: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (given,) = (await headers_of(ingest, "/v1/jobs", **{"X-Request-Id": sent})).getall("X-Request-Id")
    assert OUR_OWN.fullmatch(given)
    assert fields(caplog, "request")[-1]["request_id"] == given


async def test_two_request_ids_are_replaced(ingest: Ingest) -> None:
    headers = [("X-Request-Id", "one"), ("X-Request-Id", "two")]
    async with aiohttp.ClientSession(headers=headers) as client, client.get(ingest.url + "/v1/jobs") as answer:
        assert OUR_OWN.fullmatch(answer.headers["X-Request-Id"])


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/v1/jobs?limit=0", 400), ("/health/live", 200)])
async def test_every_answer_has_an_id_and_a_total(ingest: Ingest, path: str, status: int) -> None:
    async with ingest.client.get(ingest.url + path) as answer:
        assert answer.status == status
        assert OUR_OWN.fullmatch(answer.headers["X-Request-Id"])
        assert [name for name, _ in timings(answer.headers["Server-Timing"])] == ["total"]


async def test_each_log_line_of_a_request_has_its_id(
    settings: IngestSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(settings, database_url=Secret("postgresql://x@127.0.0.1:1/x")) as ingest:
        headers = {**WAV_TYPE, "X-Request-Id": "follow-me"}
        assert (await ingest.post(wav(), headers=headers))[0] == 503
    lines = [*fields(caplog, "dependency_unavailable"), *fields(caplog, "request")]
    assert [line["request_id"] for line in lines] == ["follow-me"] * 2
    assert lines[1]["code"] == "database_unavailable"


async def test_the_log_line_of_a_submission_names_its_job(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    job_id = await ingest.submit(wav())
    await ingest.get(f"/v1/jobs/{job_id}")
    submitted, shown = fields(caplog, "request")
    assert submitted["job_id"] == shown["job_id"] == job_id
    assert submitted["status"] == 202
    assert "code" not in submitted


async def test_an_invalid_job_id_is_not_logged(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await ingest.get("/v1/jobs/my-secret-words")
    await ingest.post(b"", headers=WAV_TYPE)
    assert all("job_id" not in line for line in fields(caplog, "request"))
    assert "my-secret-words" not in str([vars(record) for record in caplog.records if record.name.startswith("ingest")])


async def test_an_upload_has_the_durations_of_its_steps(ingest: Ingest) -> None:
    async with ingest.client.post(ingest.url + "/v1/jobs", data=wav(), headers=WAV_TYPE) as answer:
        assert answer.status == 202
        names, milliseconds = zip(*timings(answer.headers["Server-Timing"]), strict=True)
    assert names == ("receive", "store", "commit", "total")
    *steps, total = milliseconds
    assert steps[1] > 0
    assert steps[2] > 0
    assert sum(steps) <= total + 0.2  # each is rounded to a tenth


async def test_a_refused_upload_has_the_durations_of_the_steps_it_reached(ingest: Ingest) -> None:
    async with ingest.client.post(ingest.url + "/v1/jobs", data=b"nonsense", headers=WAV_TYPE) as answer:
        assert answer.status == 415
        assert [name for name, _ in timings(answer.headers["Server-Timing"])] == ["receive", "total"]


async def test_the_log_line_of_a_refusal_names_the_problem_and_the_job(
    ingest: Ingest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    unknown_id = str(new_id())
    assert (await ingest.get(f"/v1/jobs/{unknown_id}"))[0] == 404
    (line,) = fields(caplog, "request")
    assert (line["job_id"], line["code"]) == (unknown_id, "not_found")


def timings(header: str) -> list[tuple[str, float]]:
    entries = [re.fullmatch(r"([a-z]+);dur=(\d+\.\d)", entry) for entry in header.split(", ")]
    return [(entry[1], float(entry[2])) for entry in entries if entry]
