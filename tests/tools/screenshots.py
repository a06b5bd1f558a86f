"""`make screenshots`: pictures of the console's pages, with speech of the repository and made-up jobs.

Writes `docs/images/<page>-<desktop, dark or phone>.png`, in 256 colours.
"""

import asyncio
import io
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from playwright.async_api import Browser, Page, async_playwright

from tests.support.clips import GUTENBERG, JFK, NARRATIVE, PICTURE_BOOKS, WIZARD, Clip
from tests.support.console.chromium import ARGUMENTS, find_chromium
from tests.support.console.pages import shown
from tests.support.console.service import SETTINGS, Service
from tests.support.ingest.api_keys import bearer
from tests.support.stack.launched import ROOT, Launched
from tests.support.webhooks.endpoint import Endpoint, answering, status

FOLDER = ROOT / "docs/images"
TENANT = "acme"
DESKTOP = {"width": 1280, "height": 860}
LOOKS = {
    "desktop": {"viewport": DESKTOP, "color_scheme": "light"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 800}, "color_scheme": "light"},
}
RECORDINGS = {
    "Standup 2026-11-27.wav": NARRATIVE,
    "voicemail +49 30 5550102.wav": WIZARD,
    "chapter 01.wav": GUTENBERG,
    "chapter 02.wav": PICTURE_BOOKS,
    "inaugural address.wav": JFK,
    "مقابلة.wav": GUTENBERG,
}
DIALOGUE = (JFK, WIZARD, PICTURE_BOOKS, NARRATIVE)  # the speakers take turns, one a channel
COLOURS = 256


def dialogue(*clips: Clip) -> bytes:
    """Return a stereo WAV file in which the clips follow each other, each on the other channel."""
    parts = []
    for number, clip in enumerate(clips):
        samples, rate_hz = soundfile.read(clip.path, dtype="int16")
        silence = np.zeros_like(samples)
        parts.append(np.stack([samples, silence] if number % 2 == 0 else [silence, samples], axis=1))
    return wav(np.concatenate(parts), rate_hz)


def wav(samples: np.ndarray, rate_hz: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV", subtype="PCM_16")
    return file.getvalue()


async def fill(service: Service, hook: str) -> dict[str, str]:
    """Make the jobs. Return the paths of the pages by name."""
    for name, clip in RECORDINGS.items():
        samples, rate_hz = soundfile.read(clip.path, dtype="int16")
        silence = np.zeros(len(name) * 160, np.int16)  # no two files are the same
        audio = wav(np.append(samples, silence), rate_hz)
        await service.submit(TENANT, name, audio, language="en", webhook_url=hook, metadata={"source": "app"})
    await service.submit(TENANT, "cut off.flac", JFK.path.read_bytes()[:300])
    await service.submit(TENANT, "voice memo (1).flac", WIZARD.path.read_bytes()[:300])
    interview = await service.finished_job(
        TENANT, "Interview with Zoë.wav", dialogue(*DIALOGUE), language="en", channels="separate", webhook_url=hook
    )
    names = {"base_version": 0, "speakers": {"SPEAKER_00": "Ben", "SPEAKER_01": "Zoë"}, "words": [], "segments": []}
    async with service.client(TENANT) as client:
        await client.http.put(f"/v1/jobs/{interview}/transcript/edits", json=names)
    async with service.client(TENANT) as client, client.http.get("/v1/jobs") as answer:
        for job in (await answer.json())["jobs"]:
            await client.ended(job["job_id"])
    pages = ("jobs", "queue", "dead-letters", "webhooks", "keys", "licences")
    return {"home": "/", "job": f"/jobs/{interview}", **{name: f"/{name}" for name in pages}}


async def picture(browser: Browser, service: Service, key: str, path: str, look: str) -> bytes:
    """Return the PNG file of a page."""
    context = await browser.new_context(locale="en-GB", timezone_id="Europe/Berlin", **LOOKS[look])  # type: ignore[arg-type] # of the table
    try:
        if key:
            await context.request.post(f"{service.url}/v1/session", headers=bearer(key))
        page = await context.new_page()
        await page.goto(service.url + path)
        await shown(page)
        await prepare(page, path)
        return await page.screenshot(animations="disabled")
    finally:
        await context.close()


async def prepare(page: Page, path: str) -> None:
    """Go on to what the picture is to show."""
    if path.startswith("/jobs/"):
        await page.locator(".segment").first.wait_for()
        await page.evaluate("() => { document.querySelector('audio').currentTime = 6.4; }")
        await page.locator("[data-said]").wait_for()
    await page.wait_for_timeout(700)  # canvases and charts


def compressed(png: bytes) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
        file, "PNG", optimize=True
    )
    return file.getvalue()


async def main() -> int:
    """Write all pictures. Return the exit status."""
    chromium = find_chromium()
    if chromium is None:
        print("screenshots: Chromium is not installed: apt-get install chromium", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        launched = Launched(Path(folder) / "data", environ={**SETTINGS, "HEADRACE_MODEL": "tiny.en"})
        await stack.enter_async_context(launched.ready())
        endpoint = await stack.enter_async_context(Endpoint(answering(status(204))).listening())
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        service = Service(launched)
        pages = await fill(service, endpoint.url)
        key = await service.key(TENANT)
        for name, path in [("sign-in", "/sign-in"), *pages.items()]:
            for look in LOOKS:
                png = compressed(await picture(browser, service, "" if name == "sign-in" else key, path, look))
                (FOLDER / f"{name}-{look}.png").write_bytes(png)
                print(f"{name}-{look}.png: {len(png):,} bytes", flush=True)
        await browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
