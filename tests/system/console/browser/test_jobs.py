"""The list of jobs and the dead letters: filters, and actions on all that match."""

import re

import pytest
from playwright.async_api import expect

from tests.support.console.actions import confirmed
from tests.support.console.service import Service
from tests.system.console.browser.conftest import Watched

pytestmark = pytest.mark.slow


async def test_the_list_is_filtered_by_name_metadata_and_status(service: Service, watched: Watched) -> None:
    ids = [await service.submit("filters", f"talk {call}.wav", metadata={"call": str(call)}) for call in range(3)]
    ids.append(await service.submit("filters", "broken.wav", prompt="ERROR"))
    assert await service.ended("filters", *ids) == ["COMPLETED", "COMPLETED", "COMPLETED", "FAILED"]
    page = await watched.open(service.url, "/jobs", key=await service.key("filters"))
    rows = page.get_by_role("table", name="Jobs").locator("tbody").get_by_role("row")
    await expect(rows).to_have_count(4)
    await page.get_by_role("searchbox", name="Search file names").fill("TALK")
    await expect(rows).to_have_count(3)
    await expect(page).to_have_url(re.compile("filename=TALK"))
    await page.get_by_text("Filters", exact=True).click()
    await page.get_by_role("textbox", name="Metadata key").fill("call")
    await page.get_by_role("textbox", name="Metadata value").fill("2")
    await page.keyboard.press("Tab")
    await expect(rows).to_have_count(1)
    await page.get_by_role("button", name="Clear filters").click()
    await expect(rows).to_have_count(4)
    await page.get_by_role("navigation", name="Jobs by status").get_by_role("link", name="Failed").click()
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text("broken.wav")
    await page.go_back()
    await expect(rows).to_have_count(4)
    await page.reload()
    await expect(rows).to_have_count(4)


async def failed_until_repaired(service: Service, tenant: str, count: int) -> list[str]:
    """Submit jobs that fail until `repair` of the same tenant."""
    prompt = f"ERROR UNLESS {tenant}"
    ids = [await service.submit(tenant, f"{number}.wav", prompt=prompt) for number in range(count)]
    assert await service.ended(tenant, *ids) == ["FAILED"] * count
    return ids


def repair(service: Service, tenant: str) -> None:
    (service.engine / tenant).touch()


async def test_failed_jobs_are_redriven_in_bulk_after_their_cause_was_repaired(
    service: Service, watched: Watched
) -> None:
    ids = await failed_until_repaired(service, "bulk", 3)
    page = await watched.open(service.url, "/jobs?status=FAILED", key=await service.key("bulk"))
    repair(service, "bulk")
    await page.get_by_role("checkbox", name="Select all jobs of this page").check()
    await page.get_by_role("button", name="Run again").click()
    await confirmed(page, "Run 3 jobs again")
    await expect(page.get_by_text("Queued again: 3")).to_be_visible()
    assert await service.ended("bulk", *ids) == ["COMPLETED"] * 3
    await page.get_by_role("navigation", name="Jobs by status").get_by_role("link", name="Completed").click()
    rows = page.get_by_role("table", name="Jobs").locator("tbody").get_by_role("row")
    await expect(rows).to_have_count(3)


async def test_dead_letters_of_a_code_are_redriven(service: Service, watched: Watched) -> None:
    ids = await failed_until_repaired(service, "letters", 2)
    page = await watched.open(service.url, "/dead-letters", key=await service.key("letters"))
    group = page.get_by_role("region", name="internal")
    await expect(group).to_contain_text("internal")
    await group.get_by_text("Show jobs").click()
    await expect(group.get_by_role("list", name="Dead letters with internal").get_by_role("link")).to_have_count(2)
    repair(service, "letters")
    await group.get_by_role("button", name="Redrive all: internal").click()
    await confirmed(page, "Redrive 2")
    await expect(page.get_by_text("No dead letters")).to_be_visible()
    assert await service.ended("letters", *ids) == ["COMPLETED"] * 2
