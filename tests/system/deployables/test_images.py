"""The images' commands, run unchanged in a clean folder, with the environment of image and container only."""

import asyncio
import io
import signal
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from deploy.local.ports import LOOPBACK, free_port
from tests.support.deployables.composed import SERVICES
from tests.support.deployables.fixtures import Containers
from tests.support.deployables.unpacked import Unpacked, can_contain
from tests.support.ingest.sounds import wav

pytestmark = pytest.mark.process

TIMEOUT_S = 90
ON_LOOPBACK = {"HEADRACE_HOST": LOOPBACK}  # the only setting that differs from the container


@pytest.mark.skipif(not can_contain(), reason="a private read-only file system requires root on Linux")
async def test_a_command_in_an_image_can_write_to_the_writable_folder_only(ingest_image: Unpacked) -> None:
    script = "import os; open(os.environ['HOME'] + '/x', 'w'); open(os.__file__ + '.x', 'w')"
    status, output = await ingest_image.run(["python", "-c", script], {})
    assert status == 1
    assert "Read-only file system" in output
    assert "os.py.x" in output


async def test_no_image_contains_the_other_service(ingest_image: Unpacked, processor_image: Unpacked) -> None:
    def packages(image: Unpacked) -> set[str]:
        return {path.name for path in image.packages.iterdir() if path.is_dir() and path.suffix != ".dist-info"}

    assert packages(ingest_image) - {"bin"} == {"ingest_service", "shared", "deploy"}
    assert packages(processor_image) - {"bin"} == {"processor_service", "shared", "deploy"}
    assert not (ingest_image.packages / "deploy/local").exists()


async def test_a_second_migration_applies_nothing(
    ingest_image: Unpacked, containers: Containers, migrated: str
) -> None:
    assert "applied 0001_jobs_and_tasks" in migrated
    again = await ingest_image.run(SERVICES["migrate"]["command"], containers.settings("migrate"))
    assert again == (0, "nothing is due in the phase pre\n")


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize("service", ["ingest", "processor"])
async def test_a_service_may_change_rows_but_not_tables(containers: Containers, service: str) -> None:
    connection = await asyncpg.connect(containers.settings(service)["HEADRACE_DATABASE_URL"])
    try:
        await connection.execute("UPDATE jobs SET stage = 'prepare' WHERE false")
        for statement in ("DROP TABLE jobs", "CREATE TABLE mine ()", "TRUNCATE jobs CASCADE"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_probe_reports_a_refused_connection_in_one_line(ingest_image: Unpacked) -> None:
    port = str(free_port())
    status, output = await ingest_image.run(["python", "-m", "deploy.probe", port, "/health/live"], {})
    assert status == 1
    assert output.splitlines() == [f"port {port}, /health/live: no answer: [Errno 111] Connection refused"]


@pytest.mark.usefixtures("migrated")
async def test_an_upload_passes_both_containers_and_both_stop_on_sigterm(
    ingest_image: Unpacked, processor_image: Unpacked, containers: Containers, tmp_path: Path
) -> None:
    port, health_port = str(free_port()), str(free_port())
    ingest_settings = containers.settings("ingest", **ON_LOOPBACK, HEADRACE_AUTH="none", HEADRACE_PORT=port)
    processor_settings = containers.settings(
        "processor", HEADRACE_TRANSCRIBER="scripted", HEADRACE_HEALTH_PORT=health_port
    )
    ingest_log, processor_log = tmp_path / "ingest.log", tmp_path / "processor.log"
    async with (
        ingest_image.running(ingest_settings, ("8000", port), ingest_log) as ingest,
        processor_image.running(processor_settings, ("8001", health_port), processor_log) as processor,
        aiohttp.ClientSession(f"http://{LOOPBACK}:{port}") as client,
    ):
        ready = ["python", "-m", "deploy.probe", health_port, "/health/ready"]
        assert await processor_image.run(ready, processor_settings) == (0, "")
        job = await _transcribed(client, wav(64_000))
        assert job["status"] == "COMPLETED", (job, processor_log.read_text())
        assert job["warnings"] == [], job
        for process in (ingest, processor):
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), TIMEOUT_S) == 0, processor_log.read_text()
    for log in (ingest_log, processor_log):
        assert '"level": "ERROR"' not in log.read_text()
        warnings = [line for line in log.read_text().splitlines() if '"level": "WARNING"' in line]
        assert [line for line in warnings if '"missing": "network namespace"' not in line] == []  # a test's `nobody`


@pytest.mark.usefixtures("migrated")
async def test_the_ingest_requires_a_key(ingest_image: Unpacked, containers: Containers, tmp_path: Path) -> None:
    port = str(free_port())
    settings = containers.settings("ingest", **ON_LOOPBACK, HEADRACE_PORT=port)
    async with (
        ingest_image.running(settings, ("8000", port), tmp_path / "ingest.log"),
        aiohttp.ClientSession(f"http://{LOOPBACK}:{port}") as client,
        client.get("/v1/jobs") as answer,
    ):
        assert answer.status == 401


async def _transcribed(client: aiohttp.ClientSession, audio: bytes) -> dict[str, Any]:
    async with client.post("/v1/jobs", data=io.BytesIO(audio), headers={"Content-Type": "audio/wav"}) as answer:
        job: dict[str, Any] = await answer.json()
        assert answer.status == 202, job
    async with asyncio.timeout(TIMEOUT_S):
        while job["status"] in ("QUEUED", "PROCESSING"):
            async with client.get(f"/v1/jobs/{job['job_id']}") as answer:
                job = await answer.json()
            await asyncio.sleep(0.05)
    return job
