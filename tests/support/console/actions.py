"""What a user does that Playwright has no word for."""

from pathlib import Path
from typing import Any

from playwright.async_api import Page

# Records for each frame where the player is and which word is lit, until the recording has played for some seconds.
RECORD = """(seconds) => new Promise((resolve) => {
    const audio = document.querySelector("audio");
    const frames = [];
    const look = () => {
        const lit = document.querySelector("[data-said]");
        frames.push([audio.currentTime, lit === null ? -1 : Number(lit.dataset.word)]);
        if (audio.currentTime < seconds && !audio.ended) requestAnimationFrame(look);
        else resolve(frames);
    };
    look();
})"""


async def drop(page: Page, *files: Path) -> None:
    """Drop files on the middle of the page, by the browser's own events."""
    browser = await page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        await browser.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 200, "data": data})
    await browser.detach()


async def recorded_words(page: Page, seconds: float) -> list[tuple[float, int]]:
    """Return (position in seconds, number of the lit word or -1) of each frame while the recording plays."""
    frames: list[Any] = await page.evaluate(RECORD, seconds)
    return [(float(time), int(word)) for time, word in frames]


async def confirmed(page: Page, action: str) -> None:
    """Agree in the dialog that asks."""
    await page.get_by_role("dialog").get_by_role("button", name=action).click()


async def slowed(page: Page, bytes_per_second: int) -> None:
    """Let the page send no faster than that. -1: as fast as it can."""
    browser = await page.context.new_cdp_session(page)
    speed = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
    await browser.send("Network.emulateNetworkConditions", speed)
