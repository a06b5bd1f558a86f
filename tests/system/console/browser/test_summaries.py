"""What a recording was about, on the page of its job: shown as text, and a click on a time goes there."""

import pytest
from playwright.async_api import expect

from tests.support.console.service import Service
from tests.support.ingest.sounds import wav
from tests.support.summaries.chat import Chat, by_request, completion
from tests.system.console.browser.conftest import TENANT, Watched

pytestmark = pytest.mark.slow

HOSTILE = "&lt;img src=x onerror=alert(1)&gt;"


async def test_chapters_are_shown_and_seek(service: Service, watched: Watched, chat: Chat) -> None:
    about = {
        "summary": f"Ticks, and {HOSTILE}.",
        "chapters": [{"first_line": 1, "title": "All ticks", "summary": "There are several."}],
        "action_items": [{"text": "Listen.", "owner": "Zoë", "line": 1}],
    }
    chat.begin(by_request(lambda _: completion(about)))
    job = await service.finished_job(
        TENANT, "ticks.wav", wav(320_000), denoise=False, summary=True, chapters=True, action_items=True
    )

    page = await watched.open(service.url, f"/jobs/{job}", key=await service.key(TENANT))
    shown = page.locator("transcript-about")
    await expect(shown.get_by_role("heading")).to_have_text(["Summary", "Chapters", "Action items"])
    await expect(shown).to_contain_text(HOSTILE)
    await expect(shown).to_contain_text("Written by chat-9")
    await shown.get_by_role("listitem").filter(has_text="All ticks").get_by_role("button").click()
    await expect(page.locator("audio-player")).to_be_visible()
    await expect(page.get_by_role("link", name="CHAPTERS")).to_have_attribute(
        "href", f"/v1/jobs/{job}/transcript?format=chapters"
    )


async def test_the_options_are_chosen_with_the_others(service: Service, watched: Watched) -> None:
    page = await watched.open(service.url, key=await service.key(TENANT))
    await page.get_by_text("More options").click()
    for name in ("Summary", "Chapters", "Action items"):
        await page.get_by_label(name, exact=True).check(force=True)
    chosen = await page.evaluate("JSON.parse(localStorage.getItem('headrace.options'))")
    assert chosen == {"summary": True, "chapters": True, "action_items": True}
