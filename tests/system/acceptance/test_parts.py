"""Real speech through both services: a part of a recording, and a part of the work."""

import io

import numpy as np
import pytest
import soundfile

from processor_service.audio.load_mono import SAMPLE_RATE_HZ, load_mono_16k
from tests.support.acceptance.client import Client, words_of
from tests.support.clips import GUTENBERG, JFK, NARRATIVE
from tests.support.models import speaker_weights


def joined(format_name: str = "FLAC", subtype: str | None = None) -> tuple[bytes, float, float]:
    """Three clips with pauses, and where the second begins and ends, in seconds."""
    pause = np.zeros(SAMPLE_RATE_HZ, np.float32)
    first, second, third = (load_mono_16k(clip.path) for clip in (NARRATIVE, JFK, GUTENBERG))
    file = io.BytesIO()
    sound = np.concatenate([first, pause, second, pause, third])
    soundfile.write(file, sound, SAMPLE_RATE_HZ, format=format_name, subtype=subtype)
    start_s = len(first) / SAMPLE_RATE_HZ + 1
    return file.getvalue(), start_s, start_s + len(second) / SAMPLE_RATE_HZ


@pytest.mark.parametrize("kind", [("FLAC", None), ("OGG", "OPUS"), ("MP3", None)], ids=lambda kind: kind[0])
async def test_a_part_is_transcribed_with_the_times_of_the_whole(client: Client, kind: tuple[str, str | None]) -> None:
    audio, start_s, end_s = joined(*kind)

    job_id = await client.submit(audio, start=f"0:{start_s - 0.5:.3f}", end=end_s + 0.5)
    job = await client.ended(job_id)

    assert (job["status"], job["error"]) == ("COMPLETED", None)
    assert job["audio"]["duration"] == pytest.approx(end_s - start_s + 1, abs=0.001)
    assert job["options"] == {"start": round(start_s - 0.5, 3), "end": end_s + 0.5}
    transcript = await client.transcript(job_id)
    assert words_of(transcript["text"]) == words_of(JFK.text)
    words = [word for segment in transcript["segments"] for word in segment["words"]]
    assert start_s <= words[0]["start"] < start_s + 1
    assert end_s - 1.5 < words[-1]["end"] <= end_s + 0.1
    assert transcript["duration"] == pytest.approx(end_s + 0.5, abs=0.001)
    assert (await client.text(job_id, "srt")).startswith("1\n00:00:1")


async def test_a_start_after_the_end_says_the_length(client: Client) -> None:
    job = await client.ended(await client.submit(JFK.path, start="1:00:00"))

    assert (job["status"], job["error"]["code"]) == ("FAILED", "start_after_end")
    assert "11.000 seconds long" in job["error"]["message"]


async def test_contradictions_are_refused_in_a_sentence(client: Client) -> None:
    status, problem = await client.try_submit(JFK.path, start="20", end="10")
    assert (status, problem["detail"]) == (400, "`end` must be after `start`.")
    status, problem = await client.try_submit(JFK.path, diarize_only=True, channels="separate")
    assert (status, problem["detail"]) == (
        400,
        "`diarize_only` excludes `channels`: it distinguishes voices, not channels.",
    )


async def test_the_speakers_alone(client: Client) -> None:
    if speaker_weights() is None:
        pytest.skip("the package with the diarization nets is not available")
    audio, start_s, _ = joined()

    job_id = await client.submit(audio, diarize_only=True, end=start_s + 11)
    job = await client.ended(job_id)

    assert (job["status"], job["error"], job["speakers"]) == ("COMPLETED", None, 2)
    transcript = await client.transcript(job_id)
    assert transcript["text"] == ""
    assert [one["speaker"] for one in transcript["segments"]] == [one["speaker"] for one in transcript["turns"]]
    assert {turn["speaker"] for turn in transcript["turns"] if turn["start"] < start_s - 1} == {"SPEAKER_00"}
    assert {turn["speaker"] for turn in transcript["turns"] if turn["start"] > start_s} == {"SPEAKER_01"}
    lines = (await client.text(job_id, "rttm")).splitlines()
    assert len(lines) == len(transcript["turns"])
    assert (await client.text(job_id, "txt"), await client.text(job_id, "vtt")) == ("", "WEBVTT\n")


async def test_the_language_alone(client: Client) -> None:
    """The model of the stack knows English only; tests/system/transcribers asks one that knows more."""
    job_id = await client.submit(JFK.path, detect_language_only=True)
    await client.ended(job_id)

    transcript = await client.transcript(job_id)
    assert (transcript["text"], transcript["segments"], transcript["language"]) == ("", [], "en")
    assert transcript["language_candidates"] == [{"language": "en", "probability": 1.0}]


async def test_a_known_text_gets_times(client: Client) -> None:
    plain = await client.submit(JFK.path)
    script = JFK.text.upper().replace("AMERICANS", "Americans, whom I greet with a full heart:")
    job_id = await client.submit(JFK.path, text=script)
    await client.ended(plain)
    job = await client.ended(job_id)

    assert (job["status"], "text" in job["options"]) == ("COMPLETED", False)
    assert [one["code"] for one in job["warnings"]] == ["text_not_spoken"]
    transcript = await client.transcript(job_id)
    assert transcript["text"] == script
    words = [word for segment in transcript["segments"] for word in segment["words"]]
    assert [word["word"] for word in words] == script.split()
    own = [word for segment in (await client.transcript(plain))["segments"] for word in segment["words"]]
    spoken = [word for word in words if word["confidence"]]
    assert [(word["start"], word["end"]) for word in spoken] == [(word["start"], word["end"]) for word in own]
