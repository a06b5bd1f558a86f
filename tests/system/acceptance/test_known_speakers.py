"""Speakers by name, with real voices: one person in two files is recognized, a stranger is not."""

import asyncio
import io
from typing import Any

import numpy as np
import pytest
import soundfile

from processor_service.audio.load_mono import SAMPLE_RATE_HZ, load_mono_16k
from tests.support.acceptance.client import POLL_S, Client
from tests.support.clips import GUTENBERG, NARRATIVE, PICTURE_BOOKS
from tests.support.models import speaker_weights

NEVER = "019aa3c5-7a3e-7bd0-9c46-0d6c2f1f7f10"
TIMES = [[0.2, 7.5]]


@pytest.fixture(autouse=True)
def _nets() -> None:
    if speaker_weights() is None:
        pytest.skip("the package with the diarization nets is not available")


def conversation() -> bytes:
    """A man, then a woman, as a WAV file."""
    file = io.BytesIO()
    voices = [load_mono_16k(clip.path)[: 6 * SAMPLE_RATE_HZ] for clip in (NARRATIVE, GUTENBERG)]
    soundfile.write(file, np.concatenate(voices), SAMPLE_RATE_HZ, format="WAV")
    return file.getvalue()


async def woman_elsewhere(client: Client) -> str:
    """Another recording of the woman, as a job."""
    job_id = await client.submit(PICTURE_BOOKS.path, denoise=False)
    await client.ended(job_id)
    return job_id


async def test_a_person_of_another_file_is_named_and_a_stranger_is_not(client: Client) -> None:
    sample = await woman_elsewhere(client)
    known = [
        {"name": "Linda", "job_id": sample, "times": TIMES},
        {"name": "Nora", "job_id": NEVER},
        {"name": "Short", "job_id": sample, "times": [[1, 2.5]]},
    ]
    job_id = await client.submit(conversation(), diarize=True, denoise=False, known_speakers=known)

    job = await client.ended(job_id)
    transcript = await client.transcript(job_id)

    assert (job["status"], job["speakers"]) == ("COMPLETED", 2)
    assert transcript["speakers"] == ["SPEAKER_00", "Linda"]
    assert {word["speaker"] for segment in transcript["segments"] for word in segment["words"]} == set(
        transcript["speakers"]
    )
    (named,) = transcript["named_speakers"]
    assert (named["label"], named["name"]) == ("SPEAKER_01", "Linda")
    assert named["similarity"] > 0.7
    messages = [one["message"] for one in job["warnings"] if one["code"] == "known_speaker_skipped"]
    assert [message.split(". ")[0] for message in sorted(messages)] == [
        "The known speaker Nora was not compared",
        "The known speaker Short was not compared",
    ]
    assert "not found" in "".join(messages)
    assert "It needs 3 s" in "".join(messages)
    man, woman = transcript["speaker_statistics"]
    assert (man["speaker"], woman["speaker"]) == ("SPEAKER_00", "Linda")
    assert man["share"] + woman["share"] == pytest.approx(1, abs=0.001)
    assert all(4 < one["talk_time"] < 6.5 and 80 < one["words_per_minute"] < 260 for one in (man, woman))
    assert "<v Linda>" in await client.text(job_id, "vtt")

    await correct(client, job_id, {"SPEAKER_01": "Lin"})  # by the label, and the correction wins
    assert "<v Lin>" in await client.text(job_id, "vtt", edits="latest")


async def correct(client: Client, job_id: str, speakers: dict[str, str]) -> None:
    body = {"base_version": 0, "speakers": speakers}
    async with client.http.put(f"/v1/jobs/{job_id}/transcript/edits", json=body) as answer:
        assert answer.status == 200, await answer.text()


async def test_names_by_label_are_given_at_submission_and_later(client: Client) -> None:
    job_id = await client.submit(
        conversation(), diarize=True, denoise=False, speaker_names={"SPEAKER_00": "Ben", "SPEAKER_07": "Eve"}
    )
    await client.ended(job_id)
    assert (await client.transcript(job_id))["speakers"] == ["Ben", "SPEAKER_01"]

    await client.diarize(job_id, speaker_names={"SPEAKER_01": "Ann"})
    await client.ended(job_id)

    assert (await client.transcript(job_id))["speakers"] == ["SPEAKER_00", "Ann"]


async def test_a_kept_voice_names_a_speaker_after_its_audio_is_erased(client: Client) -> None:
    sample = await woman_elsewhere(client)
    voice = await kept(client, {"name": "Linda", "job_id": sample, "times": TIMES})
    assert (voice["status"], voice["error"]) == ("ready", None)
    assert 3 < voice["speech_s"] < 8
    async with client.http.delete(f"/v1/jobs/{sample}") as answer:
        assert answer.status == 204

    job_id = await client.submit(conversation(), diarize=True, denoise=False, voices=True)
    await client.ended(job_id)
    assert (await client.transcript(job_id))["speakers"] == ["SPEAKER_00", "Linda"]

    async with client.http.delete(f"/v1/voices/{voice['voice_id']}") as answer:
        assert answer.status == 204
    known = [{"name": "Linda", "voice": voice["voice_id"]}]
    await client.diarize(job_id, known_speakers=known)
    job = await client.ended(job_id)
    assert (await client.transcript(job_id))["speakers"] == ["SPEAKER_00", "SPEAKER_01"]
    assert "known_speaker_skipped" in [one["code"] for one in job["warnings"]]


async def kept(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    """Add a voice and wait until a processor has read its sample."""
    async with client.http.post("/v1/voices", json=body) as answer:
        assert answer.status == 202, await answer.text()
        voice = dict(await answer.json())
    async with asyncio.timeout(60):
        while voice["status"] == "waiting":
            await asyncio.sleep(POLL_S)
            async with client.http.get(f"/v1/voices/{voice['voice_id']}") as answer:
                voice = dict(await answer.json())
    return voice
