"""Corrections in the page of a job: a speaker's name and a word, saved and exported."""

import asyncio
import re
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soundfile
from playwright.async_api import Page, expect

from tests.support.clips import JFK, WIZARD
from tests.support.console.service import Service
from tests.system.console.browser.conftest import TENANT, Watched

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture(scope="module")
async def dialogue(speech_service: Service, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished job of two speakers, one a channel."""
    path = tmp_path_factory.mktemp("dialogue") / "dialogue.wav"
    first, rate_hz = soundfile.read(JFK.path, dtype="int16")
    second, other_hz = soundfile.read(WIZARD.path, dtype="int16")
    assert rate_hz == other_hz
    left = np.append(first, np.zeros_like(second))
    right = np.append(np.zeros_like(first), second)
    soundfile.write(path, np.stack([left, right], axis=1), rate_hz)
    return await speech_service.finished_job(TENANT, path.name, path.read_bytes(), channels="separate", language="en")


async def test_a_speaker_is_renamed_and_a_word_corrected_and_both_are_exported(
    speech_service: Service, watched: Watched, dialogue: str
) -> None:
    page = await watched.open(speech_service.url, f"/jobs/{dialogue}", key=await speech_service.key(TENANT))
    speakers = page.get_by_role("list", name="Speakers")
    await speakers.get_by_role("button", name=re.compile("^Rename ")).first.click()
    await expect(speakers.get_by_role("textbox")).to_be_focused()  # with the next frame
    await page.keyboard.type("President Zoë")
    await page.keyboard.press("Enter")
    await expect(speakers.get_by_role("button", name="Rename President Zoë")).to_be_focused()

    text = page.get_by_role("group", name=re.compile("^Transcript"))
    await text.get_by_text(re.compile("^Americans"), exact=False).first.dblclick()
    await page.get_by_role("textbox", name=re.compile("^Correct “Americans")).fill("Martians,")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("2 changes are not saved")).to_be_visible()
    await page.keyboard.press("Control+s")
    await expect(page.get_by_text(re.compile("^Version 1, saved"))).to_be_visible()

    assert "fellow Martians," in await downloaded(page, "TXT", 0)
    assert "fellow Americans" in await downloaded(page, "TXT", 1)
    subtitles = await downloaded(page, "VTT", 0)
    assert "President Zoë" in subtitles
    assert "Martians," in subtitles

    await page.reload()
    await expect(text).to_contain_text("fellow Martians,")
    await page.get_by_role("radio", name=re.compile("^Engine")).check(force=True)
    await expect(text).to_contain_text("fellow Americans")


async def downloaded(page: Page, name: str, number: int) -> str:
    """Return the text of the link with this name: 0: corrected; 1: as the engine wrote it."""
    async with page.expect_download() as started:
        await page.get_by_role("link", name=name, exact=True).nth(number).click()
    download = await started.value
    return await asyncio.to_thread(Path(await download.path()).read_text)
