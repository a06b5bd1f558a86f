"""A long file is split, its chunks run concurrently, and one transcript is the result."""

import io
from pathlib import Path

import asyncpg
import numpy as np
import pytest
import soundfile
from jiwer import wer

from tests.support.acceptance.client import Client, words_of
from tests.support.acceptance.long_audio import write_long_audio
from tests.support.stack.launched import Launched

# The number of running chunks of the job at the start of each one.
SIDE_BY_SIDE = """
SELECT max(overlapping) FROM (
    SELECT count(*) AS overlapping FROM tasks a JOIN tasks b
        ON b.job_id = a.job_id AND b.kind = 'chunk' AND b.started_at <= a.started_at AND b.finished_at > a.started_at
    WHERE a.job_id = $1 AND a.kind = 'chunk' GROUP BY a.id) AS counts
"""


async def test_a_long_file_has_one_transcript(client: Client, stack: Launched, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    texts = write_long_audio(path, duration_s=75)

    job_id = await client.submit(path)
    job = await client.ended(job_id)

    assert (job["status"], job["error"]) == ("COMPLETED", None)
    database = await asyncpg.connect(stack.settings()["HEADRACE_DATABASE_URL"])
    try:
        chunks = await database.fetchval("SELECT chunk_count FROM jobs WHERE id = $1", job_id)
        assert chunks >= 4
        assert await database.fetchval(SIDE_BY_SIDE, job_id) == 2
    finally:
        await database.close()
    transcript = await client.transcript(job_id)
    error_rate = wer(" ".join(words_of(" ".join(texts))), " ".join(words_of(transcript["text"])))
    print(f"{chunks} chunks, word error rate {error_rate:.3f}")
    assert error_rate <= 0.15
    times = [time for segment in transcript["segments"] for word in segment["words"] for time in _span(word)]
    assert times == sorted(times)
    assert [segment["id"] for segment in transcript["segments"]] == list(range(len(transcript["segments"])))
    assert transcript["duration"] == pytest.approx(soundfile.info(path).duration, abs=0.001)


async def test_the_joined_denoised_audio_is_as_long_as_the_source(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    write_long_audio(path, duration_s=60)

    job_id = await client.submit(path)
    await client.ended(job_id)

    _, denoised = await client.audio(job_id, "denoised")
    samples, _ = soundfile.read(io.BytesIO(denoised))
    original, _ = soundfile.read(path)
    assert samples.shape == original.shape
    assert np.isfinite(samples).all()
    assert np.abs(np.diff(samples)).max() <= np.abs(np.diff(original)).max() * 1.05


def _span(word: dict[str, float]) -> tuple[float, float]:
    return word["start"], word["end"]
