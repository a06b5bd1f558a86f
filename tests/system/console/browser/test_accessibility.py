"""axe-core on every page, in both themes and on a phone; the keyboard; other writing systems."""

import re

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.support.console.pages import OVERFLOW, barriers, shown
from tests.support.console.service import Service
from tests.system.console.browser.conftest import Watched

pytestmark = pytest.mark.slow

TENANT = "readers"
PATHS = ("/", "/jobs", "/queue", "/dead-letters", "/webhooks", "/keys", "/licences", "done", "failed", "missing")
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 360, "height": 740}}


@pytest_asyncio.fixture(scope="module")
async def jobs(service: Service) -> dict[str, str]:
    done = await service.finished_job(TENANT, "a long name of a recording of a meeting.wav", channels="separate")
    failed = await service.finished_job(TENANT, "failed.wav", prompt="ERROR")
    return {
        "done": f"/jobs/{done}",
        "failed": f"/jobs/{failed}",
        "missing": "/jobs/01a22377-2fdb-778f-866e-827e8339ad28",
    }


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", [*PATHS, "/sign-in"])
async def test_axe_finds_nothing(
    service: Service, watched: Watched, jobs: dict[str, str], path: str, size: str
) -> None:
    key = "" if path == "/sign-in" else await service.key(TENANT)
    page = await watched.open(service.url, "/licences", key=key, viewport=SIZES[size], reduced_motion="reduce")
    watched.watch.expect(404, "GET /v1/jobs/")
    await page.goto(service.url + jobs.get(path, path))
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)
        await shown(page)
        assert await barriers(page) == []
    assert await page.evaluate(OVERFLOW) <= 0


async def test_everything_is_reached_by_the_keyboard(service: Service, watched: Watched, jobs: dict[str, str]) -> None:
    page = await watched.open(service.url, "/jobs", key=await service.key(TENANT))
    await shown(page)
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await page.keyboard.press("j")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(jobs["done"]))
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    await page.get_by_role("group", name=re.compile("^Transcript")).focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Enter")  # plays from the word
    time = "() => document.querySelector('audio').currentTime"
    assert await page.evaluate(time) in {1, 2}
    await page.keyboard.press("e")
    await page.keyboard.type("tock")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Control+s")
    await expect(page.get_by_text(re.compile("^Version 1, saved"))).to_be_visible()


async def test_each_text_has_its_own_direction(service: Service, watched: Watched) -> None:
    names = {"تسجيل الاجتماع.wav": "rtl", "会議の録音.wav": "ltr"}
    for name in names:
        await service.finished_job("languages", name)
    page = await watched.open(service.url, "/jobs", key=await service.key("languages"))
    for name, direction in names.items():
        link = page.get_by_role("link", name=name)
        await expect(link).to_be_visible()
        assert await link.locator("bdi").evaluate("(one) => getComputedStyle(one).direction") == direction
