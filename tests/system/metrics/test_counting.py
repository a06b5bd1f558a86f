"""The counters of outcomes, stages, event loops and child memory."""

import asyncio
import os
import subprocess
import sys
import time

import msgspec
import pytest

from processor_service.audio.write_chunks import ChunkFile
from processor_service.compute.messages import (
    ChunkProcessed,
    DenoiseChunk,
    Denoised,
    FindVoices,
    ProcessChunk,
    VoicesFound,
)
from processor_service.diarization.weights import SpeakerWeights
from processor_service.tasks.outcomes import (
    ChunkDone,
    Crashed,
    Delivered,
    DeliveryAttempt,
    Failed,
    Fetched,
    Interrupted,
    JobDone,
    LeaseLost,
    NotDelivered,
    Outcome,
    Postponed,
)
from processor_service.telemetry.exposition import ResidentMemory, resident_memory
from processor_service.telemetry.metrics import (
    METRIC_REGISTRY,
    OUTCOMES,
    count_answer,
    count_remote_transcription,
    count_settled,
    outcome_label,
)
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.options import JobOptions
from shared.schemas.states import TaskKind
from shared.schemas.transcript import Transcript
from shared.telemetry.expose_metrics import expose_metrics
from shared.telemetry.metric_registry import MetricRegistry
from shared.telemetry.process_gauges import EVERY_S, LAG_SECONDS, watching_loop_lag
from tests.support.ingest.serving import until
from tests.support.metrics.scraped import Scraped

FAILURE = Failure(code=FailureCode.INTERNAL, message="A defect.")
ATTEMPT = DeliveryAttempt(id=1, duration_ms=1)
CHUNK = ChunkFile(
    path="0.flac", ordinal=0, file_start_frame=0, core_start_frame=8000, core_end_frame=168_000,
    sample_rate_hz=16_000, channels=2,
)  # fmt: skip
REQUEST = ProcessChunk(chunk=CHUNK, options=JobOptions(), model_path="", threads=1, denoised_path="d.flac")
TRANSCRIPT = Transcript(text="", language="en", duration=10, segments=(), engine="openai-whisper")


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        (ChunkDone(), "done"),
        (JobDone(()), "done"),
        (Delivered(ATTEMPT), "done"),
        (NotDelivered(ATTEMPT, FAILURE), "failed"),
        (Failed(FAILURE), "failed"),
        (Crashed("SIGSEGV"), "crashed"),
        (Interrupted(), "interrupted"),
        (LeaseLost(), "lease_lost"),
        (Postponed(1.0), "postponed"),
        (Fetched("mp3", 1, "ab"), "fetched"),
    ],
)
def test_each_outcome_has_a_label(outcome: Outcome, label: str) -> None:
    assert outcome_label(outcome) == label
    assert label in OUTCOMES


class StageGrowth:
    """The growth of the stages' counters since creation."""

    def __init__(self) -> None:
        self._before = self._now()

    def of(self, stage: str, engine: str) -> tuple[float, float, float]:
        """Return chunks, seconds of audio and seconds of work."""
        now, labels = self._now(), {"stage": stage, "engine": engine}
        names = ("stage_speed_ratio_count", "stage_audio_seconds_total", "stage_busy_seconds_total")
        named = [f"headrace_processor_{name}" for name in names]
        chunks, audio_s, busy_s = (now.get(name, **labels) - self._before.get(name, **labels) for name in named)
        return chunks, round(audio_s, 6), round(busy_s, 6)  # differences of sums of floats

    def _now(self) -> Scraped:
        return Scraped(expose_metrics(METRIC_REGISTRY.families, METRIC_REGISTRY.numbers))


@pytest.mark.parametrize(
    ("kind", "outcome", "is_dead", "completed", "failed"),
    [
        (TaskKind.PREPARE, JobDone(()), False, 1, 0),
        (TaskKind.FINISH, JobDone(()), False, 1, 0),
        (TaskKind.CHUNK, ChunkDone(), False, 0, 0),
        (TaskKind.CHUNK, Failed(FAILURE), False, 0, 0),
        (TaskKind.CHUNK, Failed(FAILURE), True, 0, 1),
        (TaskKind.PREPARE, Crashed("SIGSEGV"), True, 0, 1),
        (TaskKind.DELIVER, NotDelivered(ATTEMPT, FAILURE), True, 0, 0),
    ],
)
def test_jobs_are_counted_when_they_end(
    kind: TaskKind, outcome: Outcome, *, is_dead: bool, completed: int, failed: int
) -> None:
    def ended() -> list[float]:
        now = Scraped(expose_metrics(METRIC_REGISTRY.families, METRIC_REGISTRY.numbers))
        return [now.get("headrace_processor_jobs_ended_total", status=each) for each in ("completed", "failed")]

    before = ended()
    count_settled(kind, outcome, has_dead_letter=is_dead)
    assert [now - then for now, then in zip(ended(), before, strict=True)] == [completed, failed]


def test_a_chunk_counts_its_core_for_both_stages() -> None:
    growth = StageGrowth()
    count_answer(REQUEST, ChunkProcessed(transcript=TRANSCRIPT, transcribed_in_s=4, denoised_in_s=2), 7)
    assert growth.of("transcribe", "openai-whisper") == (1, 10, 4)
    assert growth.of("denoise", "noisereduce") == (1, 10, 2)


def test_a_stage_that_did_not_run_is_not_counted() -> None:
    growth = StageGrowth()
    count_answer(REQUEST, ChunkProcessed(transcript=TRANSCRIPT, transcribed_in_s=4), 7)
    assert growth.of("denoise", "noisereduce") == (0, 0, 0)


def test_all_remote_engines_share_one_label() -> None:
    growth = StageGrowth()
    named = msgspec.structs.replace(TRANSCRIPT, engine="acme")
    count_answer(
        msgspec.structs.replace(REQUEST, provider_transcripts=(named,)),
        ChunkProcessed(transcript=named, transcribed_in_s=1),
        1,
    )
    count_remote_transcription(CHUNK, 5)
    assert growth.of("transcribe", "remote") == (1, 10, 5)


def test_separate_denoising_and_voice_embedding_count_their_whole_time() -> None:
    growth = StageGrowth()
    count_answer(DenoiseChunk(what=REQUEST), Denoised(), 3)
    weights = SpeakerWeights(segmentation="s", embedding="e")
    count_answer(FindVoices(chunk=CHUNK, weights=weights, threads=1, voices_path="v"), VoicesFound(), 0.5)
    assert growth.of("denoise", "noisereduce") == (1, 10, 3)
    assert growth.of("find_voices", "builtin") == (1, 10, 0.5)


async def test_a_blocked_event_loop_shows_lag() -> None:
    board = MetricRegistry()
    lag = board.histogram("headrace_test_lag_seconds", "Lag.", LAG_SECONDS)
    sampled = 0

    def sample() -> None:
        nonlocal sampled
        sampled += 1

    async def sampled_twice() -> bool:
        return sampled >= 2

    async with watching_loop_lag(lag, sample):
        await asyncio.sleep(0)  # starts the timer
        time.sleep(EVERY_S + 0.3)  # noqa: ASYNC251 - the test blocks the loop on purpose
        await until(sampled_twice)
    scraped = Scraped(expose_metrics(board.families, board.numbers))
    assert scraped.get("headrace_test_lag_seconds_sum") >= 0.3
    assert (
        scraped.get("headrace_test_lag_seconds_bucket", le="0.25") == scraped.get("headrace_test_lag_seconds_count") - 1
    )


@pytest.mark.skipif(sys.platform != "linux", reason="requires Linux")
@pytest.mark.process
def test_a_processs_memory_is_reported_while_it_runs() -> None:
    mine = resident_memory(os.getpid())
    assert 10_000_000 < mine.now_bytes <= mine.peak_bytes
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert resident_memory(process.pid) == ResidentMemory()


def test_counters_by_pair_expose_both_labels() -> None:
    board = MetricRegistry()
    counters = board.counters_by((("a", "b"), [("1", "x"), ("2", "y")]), "headrace_test_total", "Pairs.")
    counters["2", "y"].inc(3)
    scraped = Scraped(expose_metrics(board.families, board.numbers))
    assert [scraped.get("headrace_test_total", a=one, b=other) for one, other in (("1", "x"), ("2", "y"))] == [0, 3]
