"""`headrace` against an ingest: jobs, dead letters, usage, keys; and that a repeated submission makes one job."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from deploy.command.api import opened_api
from deploy.command.errors import ApiError
from deploy.command.follow import wait_for_end
from deploy.command.report import Lines
from deploy.command.retries import Retries
from deploy.command.sources import find_sources
from deploy.command.state import State
from deploy.command.submit import Submission, submit
from ingest_service.settings import IngestSettings
from shared.ids import new_id
from shared.schemas.failures import FailureCode
from shared.schemas.options import JobOptions
from shared.secret import Secret
from tests.support.command import Command, until
from tests.support.ingest import records
from tests.support.ingest.api_keys import guarded, new_key
from tests.support.ingest.serving import Ingest
from tests.support.ingest.sounds import wav


def command_of(ingest: Ingest, tmp_path: Path, **environ: str) -> Command:
    folder = tmp_path / "here"
    folder.mkdir(exist_ok=True)
    return Command(ingest.url, folder, **environ)


async def test_jobs_are_listed_shown_cancelled_and_erased(ingest: Ingest, tmp_path: Path) -> None:
    command, job_ids = command_of(ingest, tmp_path), [await ingest.submit(wav()) for _ in range(3)]

    listed = await command.run("jobs")
    assert listed.output.splitlines()[0].split() == ["JOB", "STATUS", "DONE", "SECONDS", "CREATED", "FILE"]
    assert [line.split()[:2] for line in listed.output.splitlines()[1:]] == [[each, "QUEUED"] for each in job_ids[::-1]]
    assert [one["job_id"] for one in (await command.run("jobs", "--limit", "2", "--json")).results] == job_ids[:0:-1]
    assert f"job       {job_ids[0]}" in (await command.run("show", job_ids[0])).output
    assert (await command.run("show", job_ids[0], "--json")).results[0]["status"] == "QUEUED"

    cancelled = await command.run("cancel", *job_ids[:2])
    assert cancelled.output.splitlines() == [f"{each} is CANCELLED" for each in job_ids[:2]]
    assert "CANCELLED" in (await command.run("events", job_ids[0])).output
    assert (await command.run("jobs", "--status", "cancelled", "--json")).results[1]["job_id"] == job_ids[0]
    assert (await command.run("cancel", job_ids[0])).status == 0
    unknown = await command.run("cancel", str(new_id()))
    assert (unknown.status, unknown.errors.count("\n")) == (1, 1)

    assert (await command.run("delete", job_ids[0], "--json")).results == [{"job_id": job_ids[0], "erased": True}]
    assert "erased" in (await command.run("show", job_ids[0])).errors


async def test_dead_letters_are_listed_and_redriven(ingest: Ingest, tmp_path: Path) -> None:
    command = command_of(ingest, tmp_path)
    poisoned = await records.failed(ingest, FailureCode.POISON)
    late = await records.failed(ingest, FailureCode.TIMEOUT)

    assert [line.split()[0] for line in (await command.run("dead-letters")).output.splitlines()[1:]] == [poisoned, late]
    assert [one["job_id"] for one in (await command.run("dead-letters", "--code", "poison", "--json")).results] == [
        poisoned
    ]
    assert (await command.run("redrive", late)).output == f"redriven: job {late} is QUEUED\n"
    assert (await command.run("redrive", "--code", "poison")).output == "redriven: 1 dead letters\n"
    assert (await command.run("redrive", "--all", "--json")).results == [{"redriven": 0}]
    missing = await command.run("redrive", str(new_id()))
    assert missing.status == 1
    assert "no job with this id" in missing.errors


async def test_usage_is_shown(ingest: Ingest, tmp_path: Path) -> None:
    await ingest.submit(wav())
    command = command_of(ingest, tmp_path)

    shown, as_json = await command.run("usage"), await command.run("usage", "--json")

    assert "no limit" in shown.output
    assert as_json.results[0]["days"][0]["uploads"] == 1
    assert (await command.run("usage", "--from", "yesterday")).status == 1


async def test_keys_are_created_used_and_revoked_and_never_repeated(settings: IngestSettings, tmp_path: Path) -> None:
    admin = (await new_key(settings, "acme")).key
    async with guarded(settings) as ingest:
        command = command_of(ingest, tmp_path, HEADRACE_API_KEY=admin)
        created = await command.run("keys", "create", "--scopes", "read", "--purpose", "report", "--expires-days", "3")
        key = created.output.strip()
        assert (created.status, key[:3]) == (0, "hr_")

        assert (await command.run("jobs", "--api-key", key)).status == 0
        forbidden = await command.run("keys", "--api-key", key)
        assert forbidden.status == 1
        (key_id,) = {
            one["key_id"] for one in (await command.run("keys", "--json")).results if one["purpose"] == "report"
        }
        assert key_id in (await command.run("keys", "list")).output
        assert (await command.run("keys", "revoke", key_id)).output == f"{key_id} is revoked\n"
        refused = await command.run("jobs", "--api-key", key)
        assert refused.status == 1
        unknown = await command.run("transcribe", "--api-key", "hr_x y", __file__, "-f", "txt")
        assert unknown.status == 1
        for ended in (forbidden, refused, unknown):
            assert key not in ended.output + ended.errors
            assert admin not in ended.output + ended.errors


@asynccontextmanager
async def losing_the_first_answer(url: str) -> AsyncIterator[str]:
    """A relay that breaks the first connection when the answer comes: the request was carried out."""
    server_url, lost = urlsplit(url), 0

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal lost
        there, back = await asyncio.open_connection(server_url.hostname, server_url.port)
        forward = asyncio.create_task(_copy(reader, back))
        first = await there.read(1 << 16)
        if lost == 0:
            lost += 1
        else:
            writer.write(first)
            await _copy(there, writer)
        forward.cancel()
        writer.transport.abort()
        back.transport.abort()

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(1 << 16):
        writer.write(piece)
        await writer.drain()


async def test_a_lost_answer_makes_no_second_job(ingest: Ingest, tmp_path: Path) -> None:
    audio, state = tmp_path / "a.wav", State(None)
    audio.write_bytes(wav())
    (source,) = find_sources([str(audio)])
    submission = Submission(source, source.stat(), JobOptions(denoise=False))
    notes: list[str] = []

    async with (
        losing_the_first_answer(ingest.url) as url,
        opened_api(url, Secret(""), retries=Retries(), note=notes.append) as api,
    ):
        work = state.work(url, source, source.stat(), b"{}")
        job_id = await submit(api, state, work, submission, lambda _: None)

    (job,) = await ingest.sql("SELECT id, options FROM jobs")
    assert str(job["id"]) == job_id
    assert state.work(url, source, source.stat(), b"{}").job_id == job_id
    assert notes == []


@asynccontextmanager
async def without_streams(ingest: Ingest) -> AsyncIterator[str]:
    """A proxy that lets no event stream through."""
    application = web.Application()

    async def forward(request: web.Request) -> web.Response:
        if request.path.endswith("/events"):
            return web.Response(status=502, text="<html>Bad Gateway</html>", content_type="text/html")
        async with ingest.client.get(ingest.url + request.path) as answer:
            return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")

    application.router.add_get("/{path:.*}", forward)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_job_is_polled_where_no_stream_gets_through(ingest: Ingest) -> None:
    job_id = await ingest.submit(wav())
    seen: list[str] = []

    async with (
        without_streams(ingest) as url,
        opened_api(url, Secret(""), retries=Retries(), note=print) as api,
    ):
        waiting = asyncio.create_task(wait_for_end(api, job_id, lambda state: seen.append(state.status)))
        await until(lambda: asyncio.sleep(0, result=bool(seen)))
        await records.complete(ingest, job_id)
        job = await waiting

    assert job.status == "COMPLETED"
    assert (seen[0], seen[-1]) == ("QUEUED", "COMPLETED")


async def test_a_refusal_is_not_repeated(ingest: Ingest, tmp_path: Path) -> None:
    audio, state = tmp_path / "a.wav", State(None)
    audio.write_bytes(b"no audio at all")
    (source,) = find_sources([str(audio)])
    submission = Submission(source, source.stat(), JobOptions())

    async with opened_api(ingest.url, Secret(""), retries=Retries(), note=print) as api:
        with pytest.raises(ApiError) as raised:
            await submit(api, state, state.work("x", source, None, b"{}"), submission, lambda _: None)

    assert (raised.value.status, raised.value.code) == (415, "unsupported_media")


def test_lines_say_a_beginning_and_an_end_once() -> None:
    written: list[str] = []
    (source,) = find_sources(["/x/a.wav"])
    lines = Lines(written.append)

    lines.sent(source, 0, 2_000_000)
    lines.sent(source, 1_000_000, 2_000_000)

    assert written == ["/x/a.wav: uploading 2.0 MB"]
