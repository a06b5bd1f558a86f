"""The time limit of a step is a base plus its audio at the slowest speed."""

import pytest

from processor_service.settings import ProcessorSettings
from processor_service.stages import time_limits
from shared.secret import Secret

SETTINGS = ProcessorSettings(
    database_url=Secret("postgres:"),
    redis_url=Secret("redis:"),
    storage_url="file:///",
    stage_timeout_s=100,
    slowest_speed=0.1,
    max_audio_seconds=36_000,
    chunk_threshold_s=1800,
    chunk_s=600,
)


@pytest.mark.parametrize(("audio_s", "total_s"), [(0, 100), (11, 210), (600, 6100)])
def test_processing_grows_with_the_audio(audio_s: float, total_s: float) -> None:
    assert time_limits.processing(SETTINGS, audio_s=audio_s).total_s == pytest.approx(total_s)


@pytest.mark.parametrize(("audio_s", "total_s"), [(0, 100), (3600, 1900)])
def test_joining_grows_with_the_audio_twentyfold_slower(audio_s: float, total_s: float) -> None:
    assert time_limits.joining(SETTINGS, audio_s=audio_s).total_s == pytest.approx(total_s)


@pytest.mark.parametrize(
    ("source_bytes", "total_s"),
    [(0, 100), (20_000, 105), (7_200_000, 1900), (5 << 30, 18_100)],
    ids=["nothing", "ten seconds", "an hour", "more than is allowed"],
)
def test_splitting_grows_with_the_bytes_up_to_the_longest_audio(source_bytes: int, total_s: float) -> None:
    assert time_limits.splitting(SETTINGS, source_bytes=source_bytes).total_s == pytest.approx(total_s)


def test_the_idle_limit_of_splitting_depends_on_the_chunk_not_the_file() -> None:
    assert time_limits.splitting(SETTINGS, source_bytes=5 << 30).idle_s == pytest.approx(1300)
