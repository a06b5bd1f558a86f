"""What users, their files and their endpoints write is text on every page: no element, no script, no request."""

import re

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.support.console.hostile import FILE_NAME, HOSTILE, TEXT, assert_harmless, poison
from tests.support.console.pages import shown
from tests.support.console.service import Service
from tests.support.webhooks.endpoint import Endpoint, answering, status
from tests.system.console.browser.conftest import Watched

pytestmark = pytest.mark.slow

TENANT = "hostile"
PATHS = ("/", "/jobs", "/queue", "/dead-letters", "/webhooks", "/keys", "/licences")


@pytest_asyncio.fixture(scope="module")
async def jobs(service: Service) -> list[str]:
    """A finished and a failed job."""
    metadata = {"<b>key</b>": TEXT}
    done = await service.finished_job(TENANT, FILE_NAME, metadata=metadata, channels="separate")
    return [done, await service.finished_job(TENANT, FILE_NAME, prompt="ERROR", metadata=metadata)]


async def test_names_metadata_and_corrections_are_text(service: Service, watched: Watched, jobs: list[str]) -> None:
    async with service.client(TENANT) as client:
        segment = (await client.transcript(jobs[0]))["segments"][0]["id"]
        words = [{"segment": segment, "word": at, "text": text} for at, text in enumerate(HOSTILE[:2])]
        body = {
            "base_version": 0,
            "speakers": {},
            "words": words,
            "segments": [{"segment": segment, "speaker": "NEW_1"}],
        }
        body["speakers"] = {"NEW_1": HOSTILE[0]}
        async with client.http.put(f"/v1/jobs/{jobs[0]}/transcript/edits", json=body) as answer:
            assert answer.status == 200, await answer.text()
    page = await watched.open(service.url, f"/jobs/{jobs[0]}", key=await service.key(TENANT))
    await expect(page.get_by_role("heading", level=1)).to_have_text(FILE_NAME)
    text = page.get_by_role("group", name=re.compile("^Transcript"))
    await expect(text).to_contain_text(HOSTILE[0])
    await expect(text).to_contain_text(HOSTILE[1])
    await expect(page.get_by_text("<b>key</b>").first).to_be_visible()
    await assert_harmless(page)
    await page.goto(f"{service.url}/jobs")
    await expect(page.get_by_role("link", name=FILE_NAME).first).to_be_visible()
    await assert_harmless(page)


async def test_the_answer_to_a_test_event_is_shown_as_text(service: Service, watched: Watched) -> None:
    body = f"thank you {HOSTILE[0]} {HOSTILE[1]}"
    async with Endpoint(answering(status(503, body=body.encode()))).listening() as endpoint:
        page = await watched.open(service.url, "/webhooks", key=await service.key(TENANT))
        await page.get_by_role("textbox", name="URL", exact=True).fill(endpoint.url)
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.get_by_role("region", name="First bytes of the answer")).to_have_text(body)
        await expect(page.get_by_text("status 503")).to_be_visible()
        assert endpoint.received[0].headers["webhook-signature"].startswith("v1,")
    await assert_harmless(page)


@pytest.mark.parametrize("path", PATHS)
async def test_no_page_takes_an_answer_for_markup(
    service: Service, watched: Watched, jobs: list[str], path: str
) -> None:
    assert jobs
    page = await watched.open(service.url, "/sign-in", key=await service.key(TENANT))
    await poison(page)
    await page.goto(service.url + path)
    await shown(page)
    await assert_harmless(page)


@pytest.mark.parametrize("number", [0, 1])
async def test_no_job_takes_an_answer_for_markup(
    service: Service, watched: Watched, jobs: list[str], number: int
) -> None:
    page = await watched.open(service.url, "/sign-in", key=await service.key(TENANT))
    await poison(page)
    await page.goto(f"{service.url}/jobs/{jobs[number]}")
    await shown(page)
    await expect(page.get_by_text(HOSTILE[0]).first).to_be_attached()
    await assert_harmless(page)


async def test_a_url_that_is_a_script_is_refused_in_words(service: Service, watched: Watched) -> None:
    page = await watched.open(service.url, "/", key=await service.key(TENANT))
    watched.watch.expect(400, "POST /v1/jobs/remote")
    await page.get_by_role("button", name="URL").click()
    await page.get_by_role("textbox", name="URL of an audio or video file").fill("javascript:window.owned=1")
    await page.get_by_role("button", name="Transcribe").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await assert_harmless(page)
