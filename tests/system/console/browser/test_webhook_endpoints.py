"""The page of webhooks: an admin adds an endpoint, sees its secret once, tests, disables, enables and deletes it."""

import pytest
from playwright.async_api import expect

from tests.support.console.pages import OVERFLOW, barriers
from tests.support.console.service import Service
from tests.system.console.browser.conftest import Watched

pytestmark = pytest.mark.slow


async def test_an_endpoint_is_added_tested_disabled_and_deleted(service: Service, watched: Watched) -> None:
    page = await watched.open(service.url, "/webhooks", key=await service.key("hooks"))
    await page.get_by_text("Add an endpoint").click()
    form = page.locator("webhook-endpoints form")
    await form.get_by_label("URL").fill("http://127.0.0.1:1/hook")
    await form.get_by_label("Description").fill("<b>CRM</b>")
    await form.get_by_role("checkbox", name="job.failed").uncheck()
    await form.get_by_role("button", name="Add").click()
    await expect(page.get_by_text("whsec_").first).to_be_visible()
    await page.get_by_role("button", name="I have stored it").click()
    row = page.get_by_role("list", name="Webhook endpoints").get_by_role("listitem")
    await expect(row).to_contain_text("<b>CRM</b>")
    await expect(row).to_contain_text("127.0.0.1 · job.completed, job.cancelled")
    await page.emulate_media(reduced_motion="reduce")
    assert await barriers(page) == []
    assert await page.evaluate(OVERFLOW) <= 0
    await row.get_by_role("button", name="Send a test event to").click()
    await expect(row).to_contain_text("Test: not delivered.", timeout=20_000)
    await row.get_by_role("button", name="Disable").click()
    await expect(row).to_contain_text("Disabled")
    await row.get_by_role("button", name="Enable").click()
    await expect(row).to_contain_text("Enabled")
    await row.get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("No endpoint is registered.")).to_be_visible()
