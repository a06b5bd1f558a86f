"""A job page's data of real jobs: the peaks of what was uploaded, and how the work was done."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.support.acceptance.client import Client
from tests.support.acceptance.long_audio import write_long_audio
from tests.support.clips import JFK


async def get(client: Client, job_id: str, what: str) -> dict[str, Any]:
    async with client.http.get(f"/v1/jobs/{job_id}/{what}") as response:
        assert response.status == 200, await response.text()
        return dict(await response.json())


def assert_is_waveform_of(peaks: dict[str, Any], path: Path) -> None:
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    pixel = peaks["samples_per_pixel"]
    assert (peaks["sample_rate"], pixel) == (rate_hz, rate_hz // 20)
    assert peaks["length"] == -(-len(samples) // pixel) == len(peaks["data"]) // 2
    mono = samples.mean(axis=1)
    edges = [
        edge for at in range(0, len(mono), pixel) for edge in (mono[at : at + pixel].min(), mono[at : at + pixel].max())
    ]
    assert np.abs(np.array(peaks["data"]) - 128 * np.array(edges)).max() <= 1


async def test_the_peaks_and_the_work_of_a_short_file(client: Client) -> None:
    job_id = await client.submit(JFK.path)
    await client.ended(job_id)

    assert_is_waveform_of(await get(client, job_id, "peaks"), JFK.path)
    work = await get(client, job_id, "work")
    (task,) = work["tasks"]
    assert (task["kind"], task["state"], task["attempts"], task["error"]) == ("prepare", "done", 1, None)
    assert (task["engine"], task["model"]) == ("openai-whisper", "tiny.en")
    assert (task["start_s"], task["end_s"]) == (0, pytest.approx(soundfile.info(JFK.path).duration, abs=0.001))
    assert [stage["name"] for stage in work["stages"]] == ["prepare", "transcribe", "finish"]
    times = [stage[name] for stage in work["stages"] for name in ("started_at", "ended_at")]
    assert times == sorted(times)


async def test_the_peaks_and_the_work_of_a_long_file(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    write_long_audio(path, duration_s=60)

    job_id = await client.submit(path, denoise=False)
    await client.ended(job_id)

    peaks = await get(client, job_id, "peaks")
    assert_is_waveform_of(peaks, path)
    assert await get(client, job_id, "peaks?level=overview") == peaks
    work = await get(client, job_id, "work")
    chunks = [task for task in work["tasks"] if task["kind"] == "chunk"]
    assert len(chunks) >= 3
    assert {(task["engine"], task["model"]) for task in chunks} == {("openai-whisper", "tiny.en")}
    assert [task["end_s"] for task in chunks[:-1]] == [task["start_s"] for task in chunks[1:]]
    assert chunks[-1]["end_s"] == pytest.approx(soundfile.info(path).duration, abs=0.001)
    assert [task["kind"] for task in (work["tasks"][0], work["tasks"][-1])] == ["prepare", "finish"]
    assert all(stage["ended_at"] for stage in work["stages"])
    assert [stage["name"] for stage in work["stages"]] == ["prepare", "transcribe", "finish"]
