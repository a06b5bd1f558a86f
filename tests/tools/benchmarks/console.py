"""`make bench-console`: how fast the console opens, and how fast it pages and filters 100,000 jobs.

Times of pages are those of `performance.now()` when what the user waits for is visible, in a new profile of the browser
each time. Requests are those that the page sends. Medians and the slowest of the repeats; prints one JSON object last.
"""

import argparse
import asyncio
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import numpy as np
import soundfile
from playwright.async_api import Browser, async_playwright

from ingest_service.database import begun
from shared.ids import new_id
from tests.support.acceptance.client import Client
from tests.support.console.chromium import ARGUMENTS, find_chromium
from tests.support.stack.launched import Launched

JOBS = 100_000
HOURS = 3
RATE_HZ = 8000
INSERT = """
    INSERT INTO jobs (id, status, options, filename, container, source_bytes, source_sha256, created_at, completed_at)
    SELECT id, CASE WHEN number % 50 = 0 THEN 'FAILED' WHEN number % 77 = 0 THEN 'CANCELLED' ELSE 'COMPLETED' END, '{}',
        CASE WHEN number % 1000 = 0 THEN 'board meeting ' ELSE 'call ' END || number || '.wav', 'wav', 1, 'x',
        now() - (100000 - number) * interval '1 minute', now()
    FROM unnest($1::uuid[]) WITH ORDINALITY AS job (id, number)
"""
REQUESTS = {
    "newest page": "/v1/jobs?limit=50",
    "counts": "/v1/jobs/counts",
    "failed": "/v1/jobs?limit=50&status=FAILED",
    "file name, one in 1,000": "/v1/jobs?limit=50&filename=board",
    "file name, none": "/v1/jobs?limit=50&filename=nowhere",
    "a day of two months ago": "/v1/jobs?limit=50&created_after={from_}&created_before={to}",
    "counts of a file name": "/v1/jobs/counts?filename=board",
}


async def add_jobs(launched: Launched) -> None:
    """Insert jobs that have ended, a minute apart, as the tenant of a service without keys."""
    connection = await asyncpg.connect(launched.settings()["HEADRACE_DATABASE_URL"])
    try:
        async with begun(connection, "default"):
            await connection.execute(INSERT, sorted(new_id() for _ in range(JOBS)))
    finally:
        await connection.close()


async def add_long_job(client: Client) -> str:
    """Submit hours of quiet noise. Return the id of its finished job, which has a word a second."""
    noise = np.random.default_rng(1).integers(-50, 50, size=HOURS * 3600 * RATE_HZ, dtype=np.int16)
    file = io.BytesIO()
    soundfile.write(file, noise, RATE_HZ, format="WAV", subtype="PCM_U8")
    job_id = await client.submit(file.getvalue(), denoise=False)
    await client.ended(job_id, within_s=600)
    return job_id


async def opened_ms(browser: Browser, url: str, awaited: str) -> float:
    """Return after how many milliseconds a page shows an element."""
    context = await browser.new_context()
    try:
        page = await context.new_page()
        await page.goto(url, wait_until="commit")
        await page.locator(awaited).first.wait_for()
        return float(await page.evaluate("() => performance.now()"))
    finally:
        await context.close()


async def request_ms(http: aiohttp.ClientSession, path: str) -> float:
    started = time.perf_counter()
    async with http.get(path) as answer:
        await answer.read()
        assert answer.status == 200, await answer.text()
    return (time.perf_counter() - started) * 1000


async def second_page(http: aiohttp.ClientSession) -> str:
    async with http.get(REQUESTS["newest page"]) as answer:
        return f"{REQUESTS['newest page']}&cursor={(await answer.json())['next_cursor']}"


def figures(times_ms: Sequence[float]) -> dict[str, float]:
    return {"median_ms": round(statistics.median(times_ms), 1), "slowest_ms": round(max(times_ms), 1)}


async def measure(browser: Browser, launched: Launched, http: aiohttp.ClientSession, repeats: int) -> dict[str, Any]:
    job_id = await add_long_job(Client(http))
    await add_jobs(launched)
    pages = {
        "first load, ready for a file": ("/", ".drop-zone button"),
        f"job of {HOURS} hours, words in view": (f"/jobs/{job_id}", ".segment .word"),
        f"list of {JOBS:,} jobs": ("/jobs", "job-table tbody tr"),
    }
    day = {"from_": days_ago(60), "to": days_ago(59)}
    paths = {name: path.format(**day) for name, path in REQUESTS.items()} | {"second page": await second_page(http)}
    return {
        "pages": {
            name: figures([await opened_ms(browser, launched.url + path, awaited) for _ in range(repeats)])
            for name, (path, awaited) in pages.items()
        },
        "requests": {
            name: figures([await request_ms(http, path) for _ in range(repeats)]) for name, path in paths.items()
        },
    }


def days_ago(days: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days * 86400))


async def main(repeats: int) -> int:
    """Measure and print. Return the exit status."""
    chromium = find_chromium()
    if chromium is None:
        print("bench-console: Chromium is not installed: apt-get install chromium", file=sys.stderr)
        return 1
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        settings = {"PROCESSORS": "1", "HEADRACE_TRANSCRIBER": "scripted", "HEADRACE_MODEL": "scripted"}
        launched = Launched(Path(folder) / "data", environ=settings)
        await stack.enter_async_context(launched.ready())
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        http = await stack.enter_async_context(aiohttp.ClientSession(launched.url))
        print(json.dumps(await measure(browser, launched, http, repeats), indent=2))
        await browser.close()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    sys.exit(asyncio.run(main(parser.parse_args().repeats)))
