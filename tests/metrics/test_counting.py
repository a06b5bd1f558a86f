"""What is counted of an outcome, of a stage, of a loop; and how little a label may say."""

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
    Interrupted,
    JobDone,
    LeaseLost,
    NotDelivered,
    Outcome,
    Postponed,
)
from processor_service.telemetry.count_outcome import outcome_label
from processor_service.telemetry.exposition import ResidentMemory, resident_memory
from processor_service.telemetry.metrics import BOARD, OUTCOMES, count_answer, count_heard_remotely
from shared.schemas.failures import Failure, FailureCode
from shared.schemas.options import JobOptions
from shared.schemas.transcript import Transcript
from shared.telemetry.count_board import Board
from shared.telemetry.expose_metrics import expose_metrics
from shared.telemetry.process_gauges import EVERY_S, LAG_SECONDS, loop_watched
from tests.ingest.serving import until
from tests.metrics.scraped import Scraped

FAILURE = Failure(code=FailureCode.INTERNAL, message="A defect.")
ATTEMPT = DeliveryAttempt(id=1, duration_ms=1)
CHUNK = ChunkFile(
    path="0.flac", ordinal=0, file_start_frame=0, core_start_frame=8000, core_end_frame=168_000,
    sample_rate_hz=16_000, channels=2,
)  # fmt: skip
REQUEST = ProcessChunk(chunk=CHUNK, options=JobOptions(), model_path="", threads=1, denoised_path="d.flac")
HEARD = Transcript(text="", language="en", duration=10, segments=(), engine="openai-whisper")


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
    ],
)
def test_each_outcome_has_its_word(outcome: Outcome, label: str) -> None:
    assert outcome_label(outcome) == label
    assert label in OUTCOMES


class Grown:
    """How the stages' counts grew."""

    def __init__(self) -> None:
        self._before = self._now()

    def of(self, stage: str, engine: str) -> tuple[float, float, float]:
        """Chunks, seconds of audio, seconds of work."""
        now, labels = self._now(), {"stage": stage, "engine": engine}
        names = ("stage_speed_ratio_count", "stage_audio_seconds_total", "stage_busy_seconds_total")
        named = [f"headrace_processor_{name}" for name in names]
        chunks, audio_s, busy_s = (now.get(name, **labels) - self._before.get(name, **labels) for name in named)
        return chunks, audio_s, round(busy_s, 6)

    def _now(self) -> Scraped:
        return Scraped(expose_metrics(BOARD.families, BOARD.numbers))


def test_a_chunk_counts_for_both_of_its_stages_by_its_core() -> None:
    grown = Grown()
    count_answer(REQUEST, ChunkProcessed(transcript=HEARD, transcribed_in_s=4, denoised_in_s=2), 7)
    assert grown.of("transcribe", "openai-whisper") == (1, 10, 4)
    assert grown.of("denoise", "noisereduce") == (1, 10, 2)


def test_what_was_not_done_is_not_counted() -> None:
    grown = Grown()
    count_answer(REQUEST, ChunkProcessed(transcript=HEARD, transcribed_in_s=4), 7)
    assert grown.of("denoise", "noisereduce") == (0, 0, 0)


def test_remote_engines_are_one_whatever_they_are_called() -> None:
    grown = Grown()
    named = msgspec.structs.replace(HEARD, engine="acme")
    count_answer(
        msgspec.structs.replace(REQUEST, heard=(named,)), ChunkProcessed(transcript=named, transcribed_in_s=1), 1
    )
    count_heard_remotely(CHUNK, 5)
    assert grown.of("transcribe", "remote") == (1, 10, 5)


def test_denoising_beside_a_remote_engine_and_finding_voices_are_timed_as_a_whole() -> None:
    grown = Grown()
    count_answer(DenoiseChunk(what=REQUEST), Denoised(), 3)
    weights = SpeakerWeights(segmentation="s", embedding="e")
    count_answer(FindVoices(chunk=CHUNK, weights=weights, threads=1, voices_path="v"), VoicesFound(), 0.5)
    assert grown.of("denoise", "noisereduce") == (1, 10, 3)
    assert grown.of("find_voices", "builtin") == (1, 10, 0.5)


async def test_a_loop_that_is_blocked_is_late() -> None:
    board = Board()
    lag = board.histogram("headrace_test_lag_seconds", "Lag.", LAG_SECONDS)
    sampled = 0

    def sample() -> None:
        nonlocal sampled
        sampled += 1

    async def is_told() -> bool:
        return sampled >= 2

    async with loop_watched(lag, sample):
        await asyncio.sleep(0)  # its timer runs
        time.sleep(EVERY_S + 0.3)  # noqa: ASYNC251 - that is the point
        await until(is_told)
    told = Scraped(expose_metrics(board.families, board.numbers))
    assert told.get("headrace_test_lag_seconds_sum") >= 0.3
    assert told.get("headrace_test_lag_seconds_bucket", le="0.25") == told.get("headrace_test_lag_seconds_count") - 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
@pytest.mark.process
def test_the_memory_of_a_process_is_told_while_it_lives() -> None:
    mine = resident_memory(os.getpid())
    assert 10_000_000 < mine.now_bytes <= mine.peak_bytes
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert resident_memory(process.pid) == ResidentMemory()


def test_pairs_of_labels_are_shown_both() -> None:
    board = Board()
    counters = board.counters_by_pair((("a", "b"), [("1", "x"), ("2", "y")]), "headrace_test_total", "Pairs.")
    counters["2", "y"].inc(3)
    told = Scraped(expose_metrics(board.families, board.numbers))
    assert [told.get("headrace_test_total", a=one, b=other) for one, other in (("1", "x"), ("2", "y"))] == [0, 3]
