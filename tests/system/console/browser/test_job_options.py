"""Options of the next jobs that are text: they reach the job, and a refused one shows the service's sentence."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.support.clips import JFK
from tests.support.console.actions import drop
from tests.support.console.service import Service
from tests.system.console.browser.conftest import TENANT, Watched

pytestmark = pytest.mark.slow


async def opened(service: Service, watched: Watched) -> Page:
    page = await watched.open(service.url, key=await service.key(TENANT))
    await page.get_by_text("More options").click()
    return page


async def fill(page: Page, label: str, text: str) -> None:
    field = page.get_by_label(label, exact=True)
    await field.fill(text)
    await field.blur()


async def remembered(page: Page) -> dict[str, object]:
    chosen: dict[str, object] = await page.evaluate("JSON.parse(localStorage.getItem('headrace.options'))")
    return chosen


async def test_key_terms_and_a_known_text_reach_the_job(service: Service, watched: Watched, tmp_path: Path) -> None:
    clip = tmp_path / "named.flac"
    clip.write_bytes(JFK.path.read_bytes())
    page = await opened(service, watched)
    await fill(page, "Key terms", "Siobhan\n\n  Ngũgĩ wa Thiong'o \nPrzybylski\n")
    await page.get_by_text("Translate to English").check(force=True)
    await fill(page, "Known text", "tick tock\ntick")
    await expect(page.get_by_label("Translate to English")).not_to_be_checked()  # they exclude each other
    assert "text" not in await remembered(page)  # it is about one recording

    await drop(page, clip)

    link = page.get_by_role("region", name="Uploads").get_by_role("link", name="named.flac")
    await link.wait_for()
    job_id = str(await link.get_attribute("href")).rpartition("/")[2]
    async with service.client(TENANT) as client:
        options = (await client.ended(job_id))["options"]
        transcript = await client.transcript(job_id)
    assert options["keyterms"] == ["Siobhan", "Ngũgĩ wa Thiong'o", "Przybylski"]
    assert "tock" in transcript["text"]


async def test_options_that_are_too_long_for_a_header_reach_the_job(
    service: Service, watched: Watched, tmp_path: Path
) -> None:
    clip = tmp_path / "Größe.flac"
    clip.write_bytes(JFK.path.read_bytes())
    terms = [f"Ngũgĩ wa Thiong'o of the village {number}" for number in range(1000)]
    page = await opened(service, watched)
    await fill(page, "Key terms", "\n".join(terms))

    await drop(page, clip)

    link = page.get_by_role("region", name="Uploads").get_by_role("link", name="Größe.flac")
    await link.wait_for()
    async with service.client(TENANT) as client:
        job = await client.ended(str(await link.get_attribute("href")).rpartition("/")[2])
    assert job["options"]["keyterms"] == terms
    assert job["filename"] == "Größe.flac"


@pytest.mark.parametrize(
    ("label", "text", "sentence"),
    [
        ("Key terms", "a" * 101, "keyterms must be a list of at most 1000 terms"),
        ("Write results to", "ftp://bucket/folder/", "results_to must be a folder such as s3://bucket/folder/"),
        ("Write results to", "s3://of-others/folder/", "results_to must be an object of presigned URLs"),
    ],
)
async def test_a_refused_value_shows_the_sentence_of_the_service(  # noqa: PLR0913, PLR0917 - fixtures and parameters
    service: Service, watched: Watched, tmp_path: Path, label: str, text: str, sentence: str
) -> None:
    clip = tmp_path / "refused.flac"
    clip.write_bytes(JFK.path.read_bytes())
    page = await opened(service, watched)
    watched.watch.expect(400, "POST /v1/uploads")
    await fill(page, label, text)

    await drop(page, clip)

    await expect(page.get_by_role("region", name="Uploads").get_by_role("alert")).to_contain_text(sentence)


async def test_presigned_urls_are_not_remembered(service: Service, watched: Watched) -> None:
    page = await opened(service, watched)
    await fill(page, "Write results to", "s3://results/acme/")
    assert await remembered(page) == {"results_to": "s3://results/acme/"}
    await fill(page, "Write results to", '{"srt": "https://example.com/talk.srt?signature=1"}')
    assert await remembered(page) == {}
