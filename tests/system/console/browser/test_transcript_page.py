"""The page of `format=html` as a reader opens it: a file beside its recording, without a service."""

import shutil
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from shared.formats.html import render_html
from shared.formats.style import Recording, Style
from shared.schemas.transcript import Transcript
from tests.support.clips import JFK
from tests.support.ingest.spoken import said, transcript

pytestmark = pytest.mark.slow

NOW = "span.now"
HOSTILE = "<img src=x onerror=document.title='run'> <script>document.title='run'</script>"


def written(folder: Path, content: Transcript, filename: str = "") -> Path:
    """Write a page beside the recording of the clip."""
    shutil.copy(JFK.path, folder / "a talk #1.flac")
    page = folder / "a talk #1.html"
    page.write_text(render_html(content, Style(recording=Recording(title="Talk", filename=filename))))
    return page


async def opened(browser: Browser, path: Path) -> tuple[Page, list[str]]:
    """Open a page, and collect what the browser complains about."""
    page = await browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(path.as_uri())
    return page, complaints


async def test_the_page_plays_the_file_beside_it_and_lights_the_words(browser: Browser, tmp_path: Path) -> None:
    content = transcript(said(JFK.text.replace(",", ""), 1.0), duration_s=11.0)
    page, complaints = await opened(browser, written(tmp_path, content, "a talk #1.flac"))
    await page.get_by_text("Americans", exact=False).first.click()
    await expect(page.locator(NOW)).to_have_text("Americans")
    await page.locator("audio").evaluate("audio => { audio.pause(); audio.currentTime = 1.05; }")
    await expect(page.locator(NOW)).to_have_text(JFK.text.split()[0])
    assert complaints == []
    await page.close()


async def test_the_page_plays_a_file_that_the_reader_chooses(browser: Browser, tmp_path: Path) -> None:
    page, complaints = await opened(browser, written(tmp_path, transcript(said("Ask not.", 1.0), duration_s=11.0)))
    await page.locator("input").set_input_files(JFK.path)
    await page.get_by_text("not.").click()
    await expect(page.locator(NOW)).to_have_text("not.")
    assert complaints == []
    await page.close()


async def test_text_of_the_transcript_does_not_run(browser: Browser, tmp_path: Path) -> None:
    page, complaints = await opened(browser, written(tmp_path, transcript(said(HOSTILE, speaker=HOSTILE))))
    await expect(page.locator("main p")).to_have_text(HOSTILE)
    assert await page.title() == "Talk"
    assert complaints == []
    await page.close()
