"""One trace covers a job from its upload to its webhook, over both services."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from ingest_service.settings import IngestSettings
from shared.ids import new_id
from shared.settings import SettingsError, load_settings
from shared.telemetry.traces import first_span_id, is_chosen, new_span_id
from tests.support.ingest.serving import until
from tests.support.ingest.sounds import wav
from tests.support.metrics.collector import Collected, Collector
from tests.support.metrics.pair import running_pair
from tests.system.metrics.conftest import DAMAGED_MP4

SHORT = {"upload", "commit", "prepare", "decode", "transcribe and denoise", "deliver"}
LONG = SHORT | {"chunk", "finish", "join"}
NEEDED = {
    "HEADRACE_DATABASE_URL": "postgresql://localhost/headrace",
    "HEADRACE_REDIS_URL": "redis://localhost",
    "HEADRACE_STORAGE_URL": "file:///blobs",
    "HEADRACE_AUTH": "none",
}


async def test_a_job_is_one_trace_from_its_upload_to_its_webhook(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    cut = {"CHUNK_THRESHOLD_S": "4", "CHUNK_S": "3"}
    async with (
        Collector().listening() as collector,
        running_pair(database_url, redis_url, tmp_path, otlp_url=collector.url, **cut) as pair,
    ):
        audios = {"short": wav(64_000), "long": wav(320_000), "failed": DAMAGED_MP4}
        jobs = {name: await pair.client.submit(audio, webhook_url=pair.receiver.url) for name, audio in audios.items()}
        for job in jobs.values():
            await pair.client.ended(job)

        async def all_arrived() -> bool:
            names = [{span.name for span in collector.of(job)} for job in jobs.values()]
            return all({"upload", "deliver"} <= each for each in names)

        await until(all_arrived, timeout_s=60)
        short, long, failed = (collector.of(job) for job in jobs.values())
    assert {span.name for span in short} == SHORT
    assert {span.name for span in long} == LONG
    assert len([span for span in long if span.name == "chunk"]) > 1
    for spans in (short, long, failed):
        assert_is_tree(spans)
    assert [span.name for span in failed if span.failed] == ["prepare"]
    assert {span.trace for span in collector.spans} == {UUID(job) for job in jobs.values()}


def assert_is_tree(spans: list[Collected]) -> None:
    ids = {span.id for span in spans}
    assert len(ids) == len(spans)
    (first,) = [span for span in spans if not span.parent_id]
    assert (first.name, first.service) == ("upload", "headrace-ingest")
    assert all(span.parent_id in ids for span in spans if span is not first)
    assert all(first.began_ns <= span.began_ns <= span.ended_ns for span in spans)
    for span in spans:
        assert span.attributes["headrace.job_id"] == str(span.trace)
        if span.name in {"prepare", "chunk", "finish", "deliver"}:
            assert span.service == "headrace-processor"
            assert span.attributes["headrace.outcome"] == ("failed" if span.failed else "done")


async def test_an_unavailable_collector_loses_spans_only(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with running_pair(database_url, redis_url, tmp_path, otlp_url="http://127.0.0.1:1") as pair:
        job = await pair.client.submit(wav(), webhook_url=pair.receiver.url)
        assert (await pair.client.ended(job))["status"] == "COMPLETED"
        await pair.receiver.event()


def test_both_services_sample_the_same_jobs() -> None:
    ids = [new_id() for _ in range(2000)]
    assert [is_chosen(job_id, 1.0) for job_id in ids] == [True] * 2000
    assert [is_chosen(job_id, 0.0) for job_id in ids] == [False] * 2000
    assert 700 < sum(is_chosen(job_id, 0.5) for job_id in ids) < 1300
    assert all(is_chosen(job_id, 0.9) for job_id in ids if is_chosen(job_id, 0.2))


def test_the_first_span_id_is_derived_from_the_job_and_others_are_random() -> None:
    one, other = uuid4(), uuid4()
    assert first_span_id(one) == first_span_id(one) != first_span_id(other)
    assert new_span_id() != new_span_id()
    assert all(0 < span_id < 1 << 64 for span_id in (first_span_id(one), new_span_id()))


@pytest.mark.parametrize("url", ["collector:4318", "ftp://collector"])
def test_an_invalid_url_is_rejected_at_startup(url: str) -> None:
    with pytest.raises(SettingsError, match="HEADRACE_OTLP_URL"):
        load_settings(IngestSettings, {**NEEDED, "HEADRACE_OTLP_URL": url})


def test_a_missing_extra_is_named_at_startup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.telemetry.traces.find_spec", lambda _: None)
    load_settings(IngestSettings, NEEDED)
    with pytest.raises(SettingsError, match="otel"):
        load_settings(IngestSettings, {**NEEDED, "HEADRACE_OTLP_URL": "http://localhost:4318"})
