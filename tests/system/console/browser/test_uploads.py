"""Files become jobs: dropped, and sent in pieces over a connection that breaks."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.async_api import expect

from tests.support.clips import JFK
from tests.support.console.actions import drop, recorded_words, slowed
from tests.support.console.service import Service
from tests.support.ingest.proxy import proxied
from tests.system.console.browser.conftest import TENANT, Watched

pytestmark = pytest.mark.slow

TOLERANCE_S = 0.15
PLAYED_S = 6.0
SLOW_BYTES_PER_SECOND = 4 << 20


async def test_a_dropped_file_is_transcribed_and_its_words_light_as_they_are_said(
    speech_service: Service, watched: Watched, tmp_path: Path
) -> None:
    clip = tmp_path / "moon speech.flac"
    clip.write_bytes(JFK.path.read_bytes())
    page = await watched.open(speech_service.url, key=await speech_service.key(TENANT))
    await page.get_by_role("region", name="Drop audio or video here").wait_for()
    await drop(page, clip)
    await page.get_by_role("region", name="Uploads").get_by_role("link", name="moon speech.flac").click()

    await expect(page.get_by_role("heading", name="moon speech.flac", level=1)).to_be_visible()
    await expect(page.get_by_text("Completed", exact=True)).to_be_visible(
        timeout=120_000
    )  # the page was not loaded again
    text = page.get_by_role("group", name=re.compile("^Transcript"))
    await expect(text).to_contain_text("what you can do for your country")

    job_id = page.url.rpartition("/")[2]
    async with speech_service.client(TENANT) as client:
        words = [word for segment in (await client.transcript(job_id))["segments"] for word in segment["words"]]
    await page.get_by_role("button", name="Play", exact=True).click()
    frames = await recorded_words(page, PLAYED_S)
    lit = {word for _, word in frames if word >= 0}
    assert len(lit) >= 8  # of about 12
    wrong = [(time, word) for time, word in frames if not fits(words, time, word)]
    assert wrong == []


def fits(words: list[dict[str, float]], time_s: float, lit: int) -> bool:
    """Whether a word may be lit at that time; none may be lit between words."""
    if lit >= 0:
        end_s = words[lit + 1]["start"] if lit + 1 < len(words) else words[lit]["end"]
        return words[lit]["start"] - TOLERANCE_S <= time_s <= max(end_s, words[lit]["end"]) + TOLERANCE_S
    return not any(word["start"] + TOLERANCE_S < time_s < word["end"] - TOLERANCE_S for word in words)


@pytest.mark.parametrize("is_dropped", [True, False], ids=["dropped", "chosen"])
async def test_the_media_files_of_a_folder_are_uploaded(
    service: Service, watched: Watched, tmp_path: Path, *, is_dropped: bool
) -> None:
    folder = tmp_path / "talks"
    (folder / "day two").mkdir(parents=True)
    for name in ("one.flac", "day two/two.flac"):
        (folder / name).write_bytes(JFK.path.read_bytes())
    (folder / "notes.txt").write_text("no audio")
    page = await watched.open(service.url, key=await service.key(TENANT))
    await page.get_by_role("region", name="Drop audio or video here").wait_for()
    if is_dropped:
        await drop(page, folder)
    else:
        async with page.expect_file_chooser() as chooser:
            await page.get_by_role("button", name="Folder").click()
        await (await chooser.value).set_files(folder)

    uploads = page.get_by_role("region", name="Uploads")
    for name in ("one.flac", "two.flac"):
        await expect(uploads.get_by_role("link", name=name)).to_be_visible()
    await expect(page.get_by_text("1 file of the folder left out: no audio or video.")).to_be_visible()


async def test_an_upload_waits_while_it_is_paused(service: Service, watched: Watched, tmp_path: Path) -> None:
    recording = tmp_path / "lecture.wav"
    soundfile.write(recording, np.zeros((48_000 * 100, 2), dtype=np.int16), 48_000)
    page = await watched.open(service.url, key=await service.key(TENANT))
    watched.watch.expect(409, "PATCH /v1/uploads/")  # the service has not yet seen the end of the paused request
    await page.get_by_role("region", name="Drop audio or video here").wait_for()
    await slowed(page, SLOW_BYTES_PER_SECOND)
    await drop(page, recording)
    await expect(page.get_by_role("progressbar", name="Upload of lecture.wav")).to_have_attribute(
        "aria-valuenow", re.compile(r"^[1-9]\d$")
    )
    await page.get_by_role("button", name="Pause lecture.wav").click()
    uploads = page.get_by_role("region", name="Uploads")
    await expect(uploads).to_contain_text("paused")

    await page.get_by_role("button", name="Resume lecture.wav").click()

    await expect(uploads.get_by_role("link", name="lecture.wav")).to_be_visible(timeout=60_000)


async def test_an_upload_goes_on_after_its_connection_broke(service: Service, watched: Watched, tmp_path: Path) -> None:
    recording = tmp_path / "long.wav"
    noise = np.random.default_rng(18).integers(-900, 900, size=(48_000 * 100, 2), dtype=np.int16)
    soundfile.write(recording, noise, 48_000)
    async with proxied(service.url) as proxy:
        page = await watched.open(proxy.url, key=await service.key(TENANT))
        watched.watch.expect(0, "PATCH /v1/uploads/")
        watched.watch.expect(409, "PATCH /v1/uploads/")  # the service has not yet seen the end of the cut request
        watched.watch.expect(0, "GET /v1/events")
        await page.get_by_role("region", name="Drop audio or video here").wait_for()
        await slowed(page, SLOW_BYTES_PER_SECOND)
        await drop(page, recording)
        bar = page.get_by_role("progressbar", name="Upload of long.wav")
        await expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[2-9]\d$"))
        await proxy.cut()
        await slowed(page, -1)
        link = page.get_by_role("link", name="long.wav").first
        await expect(link).to_be_visible(timeout=60_000)
        job_id = str(await link.get_attribute("href")).rpartition("/")[2]
    patches = [line for line in watched.watch.requests if line.startswith("PATCH")]
    assert len(patches) >= 2
    async with service.client(TENANT) as client:
        job = await client.ended(job_id)
    assert job["audio"]["sha256"] == hashlib.sha256(recording.read_bytes()).hexdigest()
