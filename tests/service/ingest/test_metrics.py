"""The ingest's metrics, and their sums over several processes."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from ingest_service.settings import IngestSettings
from ingest_service.telemetry.metrics import metrics_folder
from shared.secret import Secret
from shared.telemetry.expose_metrics import expose_metrics
from shared.telemetry.metric_registry import MetricRegistry
from tests.support.ingest.process import running
from tests.support.ingest.scraping import Scrape, scrape, scrape_url
from tests.support.ingest.serving import Ingest, serving, until
from tests.support.ingest.sounds import wav

WAV_TYPE = {"Content-Type": "audio/wav"}
NAME = re.compile(r"headrace_(ingest|record|backlog|dead_letters)_[a-z_]+")


async def test_metrics_are_prometheus_text_with_valid_names(ingest: Ingest) -> None:
    families = (await scrape(ingest)).families
    assert len(families) >= 11
    for family in families:
        assert NAME.fullmatch(family.name)
        assert family.documentation
        assert family.type in {"counter", "gauge", "histogram"}
        assert family.type != "counter" or all(sample.name.endswith("_total") for sample in family.samples)


async def test_an_accepted_upload_is_counted_with_its_bytes_and_durations(ingest: Ingest) -> None:
    before = await scrape(ingest)
    await ingest.submit(wav(10_000))
    await ingest.submit(wav(20_000))
    after = await scrape(ingest)

    def grown(name: str, **labels: str) -> float:
        return after.get(name, **labels) - before.get(name, **labels)

    assert grown("uploads_accepted_total") == 2
    assert grown("received_bytes_total") == len(wav(10_000)) + len(wav(20_000))
    assert grown("upload_seconds_count") == grown("upload_seconds_bucket", le="+Inf") == 2
    steps = [grown("upload_step_seconds_sum", step=step) for step in ("receive", "store", "commit")]
    assert all(step > 0 for step in steps)
    assert sum(steps) <= grown("upload_seconds_sum")
    assert after.get("uploads_open") == 0


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        (b"", WAV_TYPE, "empty_upload"),
        (b"not audio at all", WAV_TYPE, "unsupported_media"),
        (b"x", {"Content-Type": "text/plain"}, "unsupported_content_type"),
        (wav(), WAV_TYPE, "too_large"),
    ],
)
async def test_a_refused_upload_is_counted_by_its_reason(
    settings: IngestSettings, body: bytes, headers: dict[str, str], code: str
) -> None:
    async with serving(settings, max_upload_bytes=100) as ingest:
        before = await scrape(ingest)
        _, problem = await ingest.post(body, headers=headers)
        after = await scrape(ingest)
    assert problem["code"] == code
    assert after.get("uploads_refused_total", code=code) == before.get("uploads_refused_total", code=code) + 1
    assert after.get("uploads_accepted_total") == before.get("uploads_accepted_total")


async def test_other_requests_do_not_count_as_uploads(ingest: Ingest) -> None:
    before = await scrape(ingest)
    assert (await ingest.get("/v1/jobs/nonsense"))[0] == 404
    assert (await ingest.post(b"", "/v1/jobs/nonsense/cancel"))[0] == 404
    after = await scrape(ingest)
    for name, labels in (("uploads_refused_total", {"code": "not_found"}), ("upload_seconds_count", {})):
        assert after.get(name, **labels) == before.get(name, **labels)


async def test_uploads_in_progress_are_counted(ingest: Ingest) -> None:
    go_on = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield wav()[:100]
        await go_on.wait()
        yield wav()[100:]

    async def are_open(count: int) -> bool:
        return (await scrape(ingest)).get("uploads_open") == count

    uploads = [asyncio.create_task(ingest.post(body(), headers=WAV_TYPE)) for _ in range(3)]
    await until(lambda: are_open(3))
    go_on.set()
    assert [status for status, _ in await asyncio.gather(*uploads)] == [202] * 3
    assert await are_open(0)


async def test_a_failed_dispatch_is_counted(settings: IngestSettings) -> None:
    async with serving(settings, redis_url=Secret("redis://127.0.0.1:1/0")) as ingest:
        before = (await scrape(ingest)).get("bell_failures_total")
        await ingest.submit(wav())

        async def is_counted() -> bool:
            return (await scrape(ingest)).get("bell_failures_total") > before

        await until(is_counted)


async def test_a_database_outage_is_counted(settings: IngestSettings) -> None:
    async with serving(settings, database_url=Secret("postgresql://x@127.0.0.1:1/x")) as ingest:
        before = await scrape(ingest)
        assert (await ingest.post(wav(), headers=WAV_TYPE))[0] == 503
        after = await scrape(ingest)
    assert after.get("database_outages_total") == before.get("database_outages_total") + 1
    refused = {"code": "database_unavailable"}
    assert after.get("uploads_refused_total", **refused) == before.get("uploads_refused_total", **refused) + 1


async def test_each_process_shows_the_sums_of_all_including_killed_processes(
    settings: IngestSettings, tmp_path: Path
) -> None:
    together = IngestSettings(
        database_url=settings.database_url,
        redis_url=settings.redis_url,
        storage_url=settings.storage_url,
        auth="none",
        metrics_dir=str(tmp_path / "metrics"),
        ingest_processes=1,
    )
    sent = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield wav()
        await sent.wait()

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession())
        (first, first_url), (_, second_url) = [await stack.enter_async_context(running(together)) for _ in range(2)]
        for url in (first_url, first_url, second_url):
            async with client.post(url + "/v1/jobs", data=wav(), headers=WAV_TYPE) as answer:
                assert answer.status == 202
        held = asyncio.create_task(client.post(first_url + "/v1/jobs", data=endless(), headers=WAV_TYPE))

        async def shows(accepted: int, opened: int) -> bool:
            scrapes = [await scrape_url(client, url) for url in (first_url, second_url)]
            return [(one.get("uploads_accepted_total"), one.get("uploads_open")) for one in scrapes] == [
                (accepted, opened)
            ] * 2

        await until(lambda: shows(3, 1))
        first.kill()
        await first.wait()
        with pytest.raises(aiohttp.ClientError):
            await held
        left = await scrape_url(client, second_url)
        assert (left.get("uploads_accepted_total"), left.get("uploads_open")) == (3, 0)


def made(folder: Path) -> MetricRegistry:
    board = MetricRegistry()
    board.counter("headrace_ingest_events_total", "Events.").inc(2)
    board.gauge("headrace_ingest_open", "Open.").inc()
    board.share(folder)
    return board


def test_a_process_with_a_reused_id_continues_the_counts(tmp_path: Path) -> None:
    made(tmp_path)
    later = Scrape(expose_metrics(made(tmp_path).families, made(tmp_path).sums()))
    assert (later.get("events_total"), later.get("open")) == (6, 1)


def test_rows_of_another_version_and_of_a_starting_process_are_ignored(tmp_path: Path) -> None:
    board = made(tmp_path)
    (row,) = tmp_path.iterdir()
    (tmp_path / f"other-{os.getpid()}.counts").write_bytes(b"x" * 80)
    (tmp_path / row.name.replace(str(os.getpid()), "1")).write_bytes(b"")
    assert board.sums() == [2, 1]


def test_a_histogram_counts_each_observation_at_or_under_its_bound() -> None:
    board = MetricRegistry()
    batches = board.histogram("headrace_ingest_batch", "Batches.", (1, 2, 4))
    for size in (1, 1, 2, 3, 5):
        batches.observe(size)
    shown = Scrape(expose_metrics(board.families, board.sums()))
    assert [shown.get("batch_bucket", le=le) for le in ("1.0", "2.0", "4.0", "+Inf")] == [2, 3, 4, 5]
    assert (shown.get("batch_count"), shown.get("batch_sum")) == (5, 12)


def test_a_temporary_metrics_folder_is_removed_and_a_configured_one_is_kept(tmp_path: Path) -> None:
    with metrics_folder("") as own:
        assert Path(own).stat().st_mode & 0o077 == 0
        made(Path(own))
    assert not Path(own).exists()
    with metrics_folder(str(tmp_path)) as chosen:
        made(Path(chosen))
    assert Path(chosen) == tmp_path
    assert list(tmp_path.iterdir())
