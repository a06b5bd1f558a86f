"""Personal data in a call: what clients get, and what is left in the store."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.acceptance.client import Client
from tests.support.clips import MADE_UP_CALL
from tests.support.stack.launched import Launched

DIGITS = frozenset("0123456789")
LONG_S = 50.0  # beyond the threshold of the stack


def _padded(path: Path) -> bytes:
    """Return the call with silence behind it, which makes it a long file."""
    samples, rate_hz = soundfile.read(path, dtype="int16")
    file = io.BytesIO()
    soundfile.write(file, np.pad(samples, (0, round(LONG_S * rate_hz) - len(samples))), rate_hz, format="FLAC")
    return file.getvalue()


@pytest.mark.parametrize("is_long", [False, True], ids=["short", "long"])
async def test_a_call_is_redacted_in_text_and_audio(client: Client, stack: Launched, *, is_long: bool) -> None:
    source = _padded(MADE_UP_CALL.path) if is_long else MADE_UP_CALL.path.read_bytes()
    job_id = await client.submit(source, redact="card,phone", redact_audio="silence", denoise=True)
    job = await client.ended(job_id)
    assert job["status"] == "COMPLETED", job

    transcript = await client.transcript(job_id)
    assert transcript["text"].count("[CARD]") == 1
    assert transcript["text"].count("[PHONE]") == 1
    assert not DIGITS.intersection(transcript["text"])
    srt, search = await client.text(job_id, "srt"), await _search(client, job_id, "4111")
    assert "[CARD]" in srt
    assert search == 0

    words = [word for segment in transcript["segments"] for word in segment["words"]]
    (card,) = [word for word in words if word["word"].startswith("[CARD]")]
    assert card["end"] - card["start"] > 5
    for variant in ("original", "denoised"):
        _, audio = await client.audio(job_id, variant)
        samples, rate_hz = soundfile.read(io.BytesIO(audio))
        before, _ = soundfile.read(io.BytesIO(source))
        assert len(samples) == len(before)
        said = slice(round(card["start"] * rate_hz), round(card["end"] * rate_hz))
        assert not samples[said].any()
        assert before[said].any()
        assert samples[: round(2 * rate_hz)].any()
    async with client.http.get(f"/v1/jobs/{job_id}/peaks") as answer:
        peaks = await answer.json()
    first, last = (round(card[edge] * 20) for edge in ("start", "end"))
    assert not any(peaks["data"][2 * first + 2 : 2 * last - 2])

    for redacted in ("transcript", "audio"):
        async with client.http.get(f"/v1/jobs/{job_id}/{redacted}", params={"redacted": "false"}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, "no_original")
    left = {path.name for path in _blobs(stack) if job_id in str(path)}
    assert left == {"redacted.flac", "denoised.flac", "transcript.json", "peaks.json"}
    for path in _blobs(stack):
        if job_id in str(path) and path.suffix == ".json":
            assert b"4111" not in path.read_bytes()
            assert b"four one" not in path.read_bytes()


async def test_what_was_redacted_is_kept_if_asked_for(client: Client) -> None:
    job_id = await client.submit(
        MADE_UP_CALL.path, redact="card", redact_audio="tone", redact_keep_original=True, denoise=False
    )
    await client.ended(job_id)

    kept = await client.text(job_id, "txt", redacted="false")
    assert "[CARD]" not in kept
    assert "[CARD]" in await client.text(job_id, "txt")
    async with client.http.get(f"/v1/jobs/{job_id}/audio", params={"redacted": "false"}) as answer:
        assert await answer.read() == MADE_UP_CALL.path.read_bytes()


async def _search(client: Client, job_id: str, text: str) -> int:
    async with client.http.get(f"/v1/jobs/{job_id}/transcript/search", params={"q": text}) as answer:
        return int((await answer.json())["count"])


def _blobs(stack: Launched) -> list[Path]:
    return [path for path in stack.data_dir.blobs.rglob("*") if path.is_file()]


async def test_options_that_need_each_other_are_refused_in_a_sentence(client: Client) -> None:
    status, problem = await client.try_submit(MADE_UP_CALL.path, redact_audio="tone")
    assert (status, problem["detail"].partition(":")[0]) == (400, "`redact_audio` needs `redact`")
    status, problem = await client.try_submit(MADE_UP_CALL.path, redact="faces")
    assert status == 400
    assert problem["detail"].startswith("`redact` must be one or more of")
