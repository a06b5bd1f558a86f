"""Real speech through both services and a real model: the results of a short clip."""

import io
import json

import numpy as np
import pytest
import soundfile
from jiwer import wer

from processor_service.audio.load_mono import SAMPLE_RATE_HZ, load_mono_16k
from tests.support.acceptance.client import Client, Receiver, words_of
from tests.support.clips import CLIPS, GUTENBERG, JFK, NARRATIVE, Clip
from tests.support.models import speaker_weights


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.path.stem)
async def test_the_words_of_a_clip_are_transcribed(client: Client, clip: Clip) -> None:
    job_id = await client.submit(clip.path)

    job = await client.ended(job_id)

    assert (job["status"], job["error"], job["warnings"]) == ("COMPLETED", None, [])
    transcript = await client.transcript(job_id)
    error_rate = wer(" ".join(words_of(clip.text)), " ".join(words_of(transcript["text"])))
    print(f"{clip.path.stem}: word error rate {error_rate:.3f}")
    assert error_rate <= 0.2


async def test_a_job_shows_its_audio_and_progress(client: Client) -> None:
    job_id = await client.submit(JFK.path, metadata={"order": 7, "tags": ["a"]})

    job = await client.ended(job_id)

    info = soundfile.info(JFK.path)
    assert job["audio"]["duration"] == pytest.approx(info.duration, abs=0.01)
    assert (job["audio"]["sample_rate"], job["audio"]["channels"]) == (info.samplerate, info.channels)
    assert (job["audio"]["format"], job["audio"]["bytes"]) == ("flac", JFK.path.stat().st_size)
    assert (job["progress"], job["stage"], job["attempts"]) == (1, "finish", 1)
    assert job["metadata"] == {"order": 7, "tags": ["a"]}
    assert job["created_at"] <= job["started_at"] <= job["completed_at"]


async def test_the_transcript_has_words_with_rising_times(client: Client) -> None:
    job_id = await client.submit(JFK.path)
    await client.ended(job_id)

    transcript = await client.transcript(job_id)

    words = [word for segment in transcript["segments"] for word in segment["words"]]
    assert [words_of(word["word"])[0] for word in words] == words_of(transcript["text"])
    times = [time for word in words for time in (word["start"], word["end"])]
    assert times == sorted(times)
    assert 0 <= times[0] < 1.5
    assert times[-1] <= transcript["duration"] == pytest.approx(11.0, abs=0.01)
    assert all(0 < word["confidence"] <= 1 for word in words)
    assert transcript["language"] == "en"


async def test_the_transcript_is_served_as_text_and_subtitles(client: Client) -> None:
    job_id = await client.submit(JFK.path)
    await client.ended(job_id)

    assert words_of(await client.text(job_id, "txt")) == words_of((await client.transcript(job_id))["text"])
    assert (await client.text(job_id, "srt")).startswith("1\n00:00:0")
    assert (await client.text(job_id, "vtt")).startswith("WEBVTT\n\n")


async def test_speech_is_served_word_by_word_in_paragraphs_and_found(client: Client) -> None:
    job_id = await client.submit(JFK.path)
    await client.ended(job_id)
    transcript = await client.transcript(job_id)
    words = [word for segment in transcript["segments"] for word in segment["words"]]

    karaoke = await client.text(job_id, "vtt", words="true")
    found = json.loads(await client.text(job_id, "json", paragraphs="true"))
    async with client.http.get(f"/v1/jobs/{job_id}/transcript/search", params={"q": "ASK NOT WHAT YOUR"}) as answer:
        hits = await answer.json()

    assert karaoke.count("<c>") == len(words)
    sentences = [sentence["text"] for paragraph in found["paragraphs"] for sentence in paragraph["sentences"]]
    assert words_of(" ".join(sentences)) == words_of(transcript["text"])
    (hit,) = hits["hits"]
    first, last = hit["words"]
    assert (hit["start"], hit["end"]) == (
        transcript["segments"][hit["segment"]]["words"][first]["start"],
        transcript["segments"][hit["last_segment"]]["words"][last]["end"],
    )
    assert words_of(hit["text"]) == words_of("ask not what your")


async def test_the_original_and_the_denoised_audio_are_served(client: Client) -> None:
    job_id = await client.submit(JFK.path)
    await client.ended(job_id)

    assert await client.audio(job_id, "original") == (200, JFK.path.read_bytes())
    assert await client.audio(job_id, "original", {"Range": "bytes=4-7"}) == (206, JFK.path.read_bytes()[4:8])
    status, denoised = await client.audio(job_id, "denoised")
    samples, rate_hz = soundfile.read(io.BytesIO(denoised))
    original, original_rate_hz = soundfile.read(JFK.path)
    assert (status, rate_hz, samples.shape) == (200, original_rate_hz, original.shape)
    assert 0.2 < np.sqrt(np.mean(samples**2)) / np.sqrt(np.mean(original**2)) < 1


async def test_denoising_and_word_times_are_optional(client: Client) -> None:
    job_id = await client.submit(JFK.path, denoise=False, word_timestamps=False)
    await client.ended(job_id)

    status, problem = await client.audio(job_id, "denoised")
    assert (status, json.loads(problem)["code"]) == (404, "no_denoised_audio")
    transcript = await client.transcript(job_id)
    assert transcript["text"]
    assert [segment["words"] for segment in transcript["segments"]] == [[] for _ in transcript["segments"]]


async def test_the_denoised_audio_can_be_transcribed(client: Client) -> None:
    job_id = await client.submit(JFK.path, transcribe_from="denoised")
    await client.ended(job_id)

    transcript = await client.transcript(job_id)
    assert transcript["transcribed_from"] == "denoised"
    assert wer(" ".join(words_of(JFK.text)), " ".join(words_of(transcript["text"]))) <= 0.2


async def test_the_webhook_reports_the_end_of_the_job(client: Client, receiver: Receiver) -> None:
    job_id = await client.submit(JFK.path, webhook_url=receiver.url, metadata={"mine": 1})

    event = await receiver.event()

    assert event["type"] == "job.completed"
    assert event["data"] == {
        "job_id": job_id,
        "status": "COMPLETED",
        "links": (await client.job(job_id))["links"],
        "metadata": {"mine": 1},
        "error": None,
    }


async def test_a_jobs_own_secret_signs_its_webhook(client: Client) -> None:
    secret = "whsec_" + "c2VjcmV0LW9mLXRoaXMtam9iLWFsb25lISEh"
    async with Receiver(secret).listening() as receiver:
        job_id = await client.submit(JFK.path, webhook_url=receiver.url, webhook_secret=secret)

        assert (await receiver.event())["data"]["job_id"] == job_id


async def test_an_endpoint_and_a_webhook_of_the_job_get_the_transcript_in_the_body(client: Client) -> None:
    own = "whsec_" + "c2VjcmV0LW9mLXRoaXMtam9iLWFsb25lISEh"
    path, unknown = "/v1/webhooks/endpoints", {"url": "https://example.com/", "contents": "transcript"}
    async with client.http.post(path, json=unknown) as answer:
        endpoint = await answer.json()
    async with (
        Receiver(endpoint["secret"]).listening() as registered,
        Receiver(own).listening() as of_job,
    ):
        try:
            async with client.http.patch(f"{path}/{endpoint['endpoint_id']}", json={"url": registered.url}) as answer:
                assert answer.status == 200
            webhooks = [{"url": of_job.url, "secret": own, "contents": "transcript"}]
            job_id = await client.submit(JFK.path, webhooks=webhooks)
            bodies = [(await of_job.event())["data"], (await registered.event())["data"]]
        finally:
            async with client.http.delete(f"{path}/{endpoint['endpoint_id']}") as answer:
                assert answer.status == 204
    assert [body["job_id"] for body in bodies] == [job_id] * 2
    assert [body["transcript"] for body in bodies] == [await client.transcript(job_id)] * 2
    assert wer(" ".join(words_of(JFK.text)), " ".join(words_of(bodies[0]["transcript"]["text"]))) <= 0.2


async def test_an_english_only_model_has_a_warning(client: Client) -> None:
    job = await client.ended(await client.submit(JFK.path, language="de"))

    assert [warning["code"] for warning in job["warnings"]] == ["language_ignored"]


async def test_the_speakers_of_a_finished_job_are_found_again(client: Client, receiver: Receiver) -> None:
    if speaker_weights() is None:
        pytest.skip("the package with the diarization nets is not available")
    job_id = await client.submit(_two_voices(), webhook_url=receiver.url)
    await client.ended(job_id)
    before = await client.transcript(job_id)

    await client.diarize(job_id, num_speakers=2)
    job = await client.ended(job_id)

    assert (job["status"], job["error"]) == ("COMPLETED", None)
    after = await client.transcript(job_id)
    assert (before["text"], before["speakers"]) == (after["text"], [])
    assert after["speakers"] == ["SPEAKER_00", "SPEAKER_01"]
    assert {segment["speaker"] for segment in after["segments"]} == set(after["speakers"])
    assert [(await receiver.event())["type"] for _ in range(2)] == ["job.completed"] * 2
    assert (await client.audio(job_id, "denoised"))[0] == 200


def _two_voices() -> bytes:
    """A woman, then a man, as a WAV file."""
    file = io.BytesIO()
    voices = [load_mono_16k(clip.path)[: 6 * SAMPLE_RATE_HZ] for clip in (GUTENBERG, NARRATIVE)]
    soundfile.write(file, np.concatenate(voices), SAMPLE_RATE_HZ, format="WAV")
    return file.getvalue()
