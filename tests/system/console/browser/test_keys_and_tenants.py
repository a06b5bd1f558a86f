"""Keys, what their scopes allow, and the wall between tenants."""

import pytest
from playwright.async_api import Page, expect

from tests.support.console.actions import confirmed
from tests.support.console.service import Service
from tests.system.console.browser.conftest import Watched

pytestmark = pytest.mark.slow

PATHS = ("/", "/jobs", "/queue", "/dead-letters", "/webhooks", "/keys")
CHANGES = (
    "Cancel",
    "Erase",
    "Run again",
    "Redrive",
    "Discard",
    "Revoke",
    "Make key",
    "Rotate the secret",
    "Send",
    "Choose files",
    "Find speakers",
)


async def test_a_key_is_shown_once_and_its_revocation_ends_its_session(service: Service, watched: Watched) -> None:
    page = await watched.open(service.url, "/keys", key=await service.key("keys"))
    await page.get_by_role("textbox", name="Purpose").fill("shop")
    for scope in ("submit", "read"):
        await page.get_by_role("checkbox", name=scope).check()
    await page.get_by_role("button", name="Make key").click()
    made = page.get_by_role("status").filter(has_text="The new key for shop")
    key = await made.locator("code, pre, input").first.inner_text()
    assert key.startswith("hr_")
    await page.get_by_role("button", name="I have stored it").click()
    await expect(page.get_by_text(key)).to_have_count(0)
    await page.reload()
    row = page.get_by_role("row").filter(has_text="shop")
    await expect(row).to_be_visible()
    assert key not in await page.content()

    other = await watched.open(service.url, "/", key=key)
    watched.watch.expect(401, "GET /v1/")
    await expect(other.get_by_role("region", name="Now")).to_be_visible()
    await row.get_by_role("button", name="Revoke").click()
    await confirmed(page, "Revoke")
    await expect(row).to_have_count(0)
    # The open page loses its event stream, asks again, and has no session.
    await expect(other.get_by_role("heading", name="Sign in")).to_be_visible(timeout=30_000)


async def test_two_tenants_see_nothing_of_each_other(service: Service, watched: Watched) -> None:
    known_to_one = "merger-with-initech"
    job_id = await service.finished_job(
        "globex", f"{known_to_one}.wav", prompt="ERROR", metadata={"name": known_to_one}
    )
    page = await watched.open(service.url, "/jobs", key=await service.key("umbrella", "submit,read,admin"))
    watched.watch.expect(404, f"GET /v1/jobs/{job_id}")
    for path in PATHS:
        await page.goto(service.url + path)
        await shown(page)
        assert known_to_one not in await page.content(), path
        await expect(page.get_by_text(job_id)).to_have_count(0)
    await page.goto(f"{service.url}/jobs/{job_id}")
    await expect(page.get_by_text("There is no such job")).to_be_visible()
    assert "globex" not in await page.content()


@pytest.mark.parametrize("scopes", ["read", "read,observe"])
async def test_a_key_that_only_looks_is_offered_no_change(service: Service, watched: Watched, scopes: str) -> None:
    done = await service.finished_job("looking", "done.wav")
    failed = await service.finished_job("looking", "failed.wav", prompt="ERROR")
    page = await watched.open(service.url, "/", key=await service.key("looking", scopes))
    watched.watch.expect(403, "GET /v1/")
    for path in (*PATHS, f"/jobs/{done}", f"/jobs/{failed}"):
        await page.goto(service.url + path)
        await shown(page)
        buttons = [text for text in await page.get_by_role("button").all_inner_texts() if text.startswith(CHANGES)]
        assert buttons == [], path


async def shown(page: Page) -> None:
    """Wait until a page has its heading and its requests are answered."""
    await page.get_by_role("heading", level=1).wait_for()
    await expect(page.locator("[aria-busy=true]")).to_have_count(0)
    await page.wait_for_timeout(300)
