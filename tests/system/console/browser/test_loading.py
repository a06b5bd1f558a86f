"""What the first load needs, and what a page says when the service stops."""

import re

import pytest
from playwright.async_api import expect

from ingest_service.settings import IngestSettings
from tests.support.console.pages import shown
from tests.support.console.service import Service
from tests.support.ingest.proxy import proxied
from tests.support.ingest.serving import serving
from tests.system.console.browser.conftest import Watched

pytestmark = pytest.mark.slow

MAX_BYTES = 150_000
SIZES = """() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
    .map(({ name, encodedBodySize }) => [new URL(name).pathname, encodedBodySize])"""


@pytest.mark.parametrize("path", ["/", "/jobs", "/queue", "/dead-letters", "/webhooks", "/keys", "job"])
async def test_the_first_load_is_small_and_kept_by_the_browser(service: Service, watched: Watched, path: str) -> None:
    if path == "job":
        path = f"/jobs/{await service.finished_job('loading', 'small.wav')}"
    page = await watched.open(service.url, path, key=await service.key("loading"))
    await shown(page)
    sizes = dict(await page.evaluate(SIZES))
    code = {name: size for name, size in sizes.items() if not name.startswith("/v1/")}
    assert 10_000 < sum(code.values()) <= MAX_BYTES, code
    for name in code:
        answer = await page.request.get(service.url + name)
        is_page = name == path
        assert answer.headers["cache-control"] == ("no-cache" if is_page else "public, max-age=31536000, immutable"), (
            name
        )
        assert is_page == (not re.match(r"/console/[0-9a-f]{20}/", name)), name


async def test_a_page_says_that_the_service_does_not_answer_and_recovers(service: Service, watched: Watched) -> None:
    await service.finished_job("loading", "small.wav")
    async with proxied(service.url) as proxy:
        page = await watched.open(proxy.url, "/jobs", key=await service.key("loading"))
        await shown(page)
        watched.watch.expect(0, "GET /v1/")
        await proxy.close()
        await page.get_by_role("navigation", name="Jobs by status").get_by_role("link", name="Completed").click()
        await expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
        await proxy.open()
        await page.get_by_role("button", name="Try again").click()
        await expect(page.get_by_role("table", name="Jobs")).to_be_visible()
        await expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize(
    ("path", "words"),
    {
        "/": "No jobs yet",
        "/jobs": "No jobs yet",
        "/dead-letters": "No dead letters",
        "/webhooks": "No webhook attempts yet",
    }.items(),
)
async def test_an_empty_page_says_what_comes(service: Service, watched: Watched, path: str, words: str) -> None:
    page = await watched.open(service.url, path, key=await service.key("empty"))
    await expect(page.get_by_text(words)).to_be_visible()


async def test_without_keys_there_is_no_sign_in(settings: IngestSettings, watched: Watched) -> None:
    async with serving(settings) as ingest:
        page = await watched.open(ingest.url)
        await expect(page.get_by_text("No jobs yet")).to_be_visible()
        await expect(page.get_by_text("no keys needed")).to_be_visible()
        await expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


async def test_the_console_can_be_taken_away(settings: IngestSettings, watched: Watched) -> None:
    async with serving(settings, console=False) as ingest:
        page = await watched.open(ingest.url, "/health/live")
        watched.watch.expect(404, "GET /")
        answer = await page.goto(ingest.url)
        assert answer is not None
        assert answer.status == 404
