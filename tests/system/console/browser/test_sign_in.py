"""Sign in and out, and pages that need a session."""

import re

import pytest
from playwright.async_api import expect

from tests.support.console.service import Service
from tests.system.console.browser.conftest import TENANT, Watched

pytestmark = pytest.mark.slow


async def test_a_key_is_exchanged_for_a_session_that_ends_with_the_click(service: Service, watched: Watched) -> None:
    page = await watched.open(service.url, "/jobs")
    await page.get_by_role("textbox", name="API key").fill(await service.key(TENANT))
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Jobs", level=1)).to_be_visible()
    assert await page.evaluate("document.cookie") == ""  # scripts cannot read it
    await page.reload()
    await expect(page.get_by_role("heading", name="Jobs", level=1)).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in", level=1)).to_be_visible()
    assert (await page.request.get(f"{service.url}/v1/jobs")).status == 401


async def test_a_wrong_key_is_refused_in_words(service: Service, watched: Watched) -> None:
    page = await watched.open(service.url, "/")
    watched.watch.expect(401, "POST /v1/session")
    await page.get_by_role("textbox", name="API key").fill("hr_wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text(re.compile("key", re.IGNORECASE))
    await expect(page.get_by_role("textbox", name="API key")).to_be_focused()
