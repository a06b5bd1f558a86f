"""Long files with default settings: 65 minutes of speech, and three hours of stereo MP3 at 44.1 kHz."""

import datetime as dt
import io
from pathlib import Path

import asyncpg
import av
import numpy as np
import pytest
import soundfile
import soxr
from jiwer import wer

from tests.support.acceptance.client import Client, words_of
from tests.support.acceptance.long_audio import write_long_audio
from tests.support.clips import JFK
from tests.support.full.process_memory import peak_memory
from tests.support.stack.launched import Launched
from tests.system.acceptance.test_long_files import SIDE_BY_SIDE

pytestmark = pytest.mark.slow
MP3_RATE_HZ = 44_100
THREE_HOURS_S = 3 * 3600


async def test_sixty_five_minutes_are_split_and_transcribed_in_parallel(
    client: Client, stack: Launched, tmp_path: Path
) -> None:
    path = tmp_path / "long.flac"
    texts = write_long_audio(path, duration_s=65 * 60)

    async with peak_memory(stack.pids()["processor-0"]) as peak:
        job_id = await client.submit(path)
        job = await client.ended(job_id, within_s=3600)

    assert (job["status"], job["error"]) == ("COMPLETED", None)
    chunks, parallel = await _chunks(stack, job_id)
    transcript = await client.transcript(job_id)
    error_rate = wer(" ".join(words_of(" ".join(texts))), " ".join(words_of(transcript["text"])))
    took_s = _seconds(job)
    print(
        f"65 minutes: {took_s:.0f} s ({transcript['duration'] / took_s:.1f} x real time), {chunks} chunks, "
        f"{parallel} in parallel, word error rate {error_rate:.3f}, peak resident {peak.resident_mb:.0f} MB, "
        f"proportional {peak.proportional_mb:.0f} MB"
    )
    words = [word for segment in transcript["segments"] for word in segment["words"]]
    times = [time for word in words for time in (word["start"], word["end"])]
    assert parallel == 2
    assert times == sorted(times)
    assert error_rate < 0.1
    assert transcript["duration"] == pytest.approx(soundfile.info(path).duration, abs=0.001)


async def test_three_hours_of_mp3_need_bounded_memory(client: Client, stack: Launched, tmp_path: Path) -> None:
    path = tmp_path / "three_hours.mp3"
    _write_mp3(path)

    async with peak_memory(stack.pids()["processor-0"]) as peak:
        job_id = await client.submit(path)
        job = await client.ended(job_id, within_s=3600)

    assert (job["status"], job["error"]) == ("COMPLETED", None)
    print(
        f"three hours of {path.stat().st_size >> 20} MB: {_seconds(job):.0f} s, "
        f"peak resident {peak.resident_mb:.0f} MB, proportional {peak.proportional_mb:.0f} MB"
    )
    assert peak.resident_mb < 1500
    status, denoised = await client.audio(job_id, "denoised")
    assert status == 200
    assert soundfile.info(io.BytesIO(denoised)).duration == pytest.approx(job["audio"]["duration"], abs=0.001)


def _write_mp3(path: Path) -> None:
    """One sentence a minute in stereo, with soft noise between; little speech keeps the test to minutes."""
    speech, _ = soundfile.read(JFK.path, dtype="float32")
    random = np.random.default_rng(3)
    minute = random.normal(0, 0.002, (2, 60 * MP3_RATE_HZ)).astype(np.float32)
    spoken = soxr.resample(speech, 16_000, MP3_RATE_HZ)
    minute[:, 5 * MP3_RATE_HZ : 5 * MP3_RATE_HZ + len(spoken)] += spoken * 0.8
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp3", rate=MP3_RATE_HZ, layout="stereo", bit_rate=128_000)
        for number in range(THREE_HOURS_S // 60):
            frame = av.AudioFrame.from_ndarray(minute, format="fltp", layout="stereo")
            frame.sample_rate = MP3_RATE_HZ
            frame.pts = number * minute.shape[1]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


async def _chunks(stack: Launched, job_id: str) -> tuple[int, int]:
    database = await asyncpg.connect(stack.settings()["HEADRACE_DATABASE_URL"])
    try:
        chunks = await database.fetchval("SELECT chunk_count FROM jobs WHERE id = $1", job_id)
        return chunks, await database.fetchval(SIDE_BY_SIDE, job_id)
    finally:
        await database.close()


def _seconds(job: dict[str, str]) -> float:
    created, completed = (dt.datetime.fromisoformat(job[name]) for name in ("created_at", "completed_at"))
    return (completed - created).total_seconds()
