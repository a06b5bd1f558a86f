"""The pages of the console, when they are complete, and what axe-core finds in them."""

from pathlib import Path
from typing import Any

from playwright.async_api import Page, expect

AXE = Path(__file__).parents[2] / "system/console/modules/axe-core/axe.min.js"
RUN_AXE = """async () => {
    const { violations } = await axe.run(document, { preload: false, runOnly: [
        "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
    return violations.flatMap(({ id, nodes }) => nodes.map((one) => `${id}: ${one.target}: ${one.failureSummary}`));
}"""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def shown(page: Page) -> None:
    """Wait until a page has its heading and what it loads first."""
    await page.get_by_role("heading", level=1).wait_for()
    await expect(page.locator("[aria-busy=true]")).to_have_count(0)
    await expect(page.get_by_text("Loading…", exact=True)).to_have_count(0)
    await page.wait_for_load_state("load")


async def barriers(page: Page) -> list[str]:
    """Return what axe-core finds: for each element the rule and what is wrong."""
    if not await page.evaluate("() => 'axe' in window"):
        await page.evaluate(AXE.read_text())
    found: Any = await page.evaluate(RUN_AXE)
    return [str(one) for one in found]
