"""`python -m tests.tools.benchmarks.waiting`: what waiting requests cost, and how soon they are answered.

Sends a clip to a warm processor, repeatedly, by OpenAI's API or with `Prefer: wait`, and compares the arrival of each
answer with the end of its job in the database. Then lets many requests wait for jobs that no processor takes, and
measures the ingest's memory and queries meanwhile. Prints one JSON object last.
"""

import argparse
import asyncio
import datetime as dt
import itertools
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from tests.support.clips import JFK
from tests.support.ingest.scraping import scrape_url
from tests.support.ingest.serving import until
from tests.support.ingest.sounds import wav
from tests.support.models import MODEL, model_for
from tests.support.stack.launched import Launched

ENGINE = "openai-whisper"
ROUTES = {"openai": "/v1/audio/transcriptions", "prefer": "/v1/jobs"}
WARM_UPS = 2  # answers that are not counted: they load code and open connections
FEW = 100  # plain uploads before the memory is read
AT_ONCE = 50  # requests that are being sent
MIB = 1 << 20


def main() -> None:
    arguments = _arguments()
    route = ROUTES[arguments.route]
    latency = asyncio.run(_latency(route, arguments.repeats))
    print(json.dumps(latency | asyncio.run(_costs(route, arguments.requests, arguments.seconds))))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--route", choices=ROUTES, default="openai", help="how the requests wait")
    parser.add_argument("--repeats", type=int, default=10, help="answers whose delay is measured")
    parser.add_argument("--requests", type=int, default=1000, help="requests that wait at the same time")
    parser.add_argument("--seconds", type=float, default=20, help="how long their queries are counted; less than 50")
    return parser.parse_args()


@asynccontextmanager
async def _stack(**environ: str) -> AsyncIterator[tuple[Launched, aiohttp.ClientSession]]:
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None)
    with tempfile.TemporaryDirectory(prefix="headrace-benchmark-") as folder:
        async with (
            (stack := Launched(Path(folder), environ={"HEADRACE_INGEST_PROCESSES": "1", **environ})).ready(),
            aiohttp.ClientSession(stack.url, connector=connector, timeout=timeout) as http,
        ):
            yield stack, http


async def _latency(route: str, repeats: int) -> dict[str, Any]:
    """How long after the end of its job an answer arrives. The job ends when its last transaction begins."""
    environ = {
        "PROCESSORS": "1",
        "HEADRACE_TRANSCRIBER": ENGINE,
        "HEADRACE_MODEL": MODEL,
        "HEADRACE_MODEL_DIR": str(model_for(ENGINE).parent),
    }
    async with _stack(**environ) as (_, http):
        answers = [await _answer_after_end(http, route) for _ in range(WARM_UPS + repeats)][WARM_UPS:]
    delays_s, jobs_s = zip(*answers, strict=True)
    return {
        "job_s": round(median(jobs_s), 2),
        "answer_after_end_s": {"median": round(median(delays_s), 3), "longest": round(max(delays_s), 3)},
    }


async def _answer_after_end(http: aiohttp.ClientSession, route: str) -> tuple[float, float]:
    """Return the delay of an answer, and the job's own duration."""
    job_id = await _wait_by(route, http, JFK.path.read_bytes())
    answered_at = time.time()
    async with http.get(f"/v1/jobs/{job_id}") as answer:
        job = await answer.json()
    created, completed = (dt.datetime.fromisoformat(job[name]).timestamp() for name in ("created_at", "completed_at"))
    return answered_at - completed, completed - created


_numbers = itertools.count()


async def _wait_by(route: str, http: aiohttp.ClientSession, audio: bytes) -> str:
    """Send an upload, wait for the answer, and return the job's id. Each has another prompt: equal ones attach."""
    form = aiohttp.FormData({"prompt": f"Take {next(_numbers)}."})
    form.add_field("file", audio, filename="audio")
    async with http.post(route, data=form, headers={"Prefer": "wait=60"}) as answer:
        body = await answer.json()
        assert answer.status in {200, 201}, body
        return str(answer.headers.get("Headrace-Job-Id") or body["job_id"])


async def _costs(route: str, requests: int, seconds: float) -> dict[str, Any]:
    """The memory of the ingest while requests wait, and its queries for them."""
    async with _stack(PROCESSORS="0") as (stack, http):
        pid, audio = stack.pids()["ingest"], wav()
        await asyncio.gather(*(_submit(http, audio) for _ in range(FEW)))
        before = _resident_bytes(pid)
        sending = asyncio.Semaphore(AT_ONCE)
        waiting = [asyncio.create_task(_wait(route, http, audio, sending)) for _ in range(requests)]
        await until(lambda: _listeners(http, stack.url, requests), timeout_s=50)
        grown = _resident_bytes(pid) - before
        queries = await _queries(http, stack.url)
        await asyncio.sleep(seconds)
        asked = await _queries(http, stack.url) - queries
        still_waiting = await _listeners(http, stack.url, requests)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    assert still_waiting
    return {
        "requests": requests,
        "memory_mib": round(grown / MIB, 1),
        "kib_a_request": round(grown / 1024 / requests, 1),
        "queries_a_second": round(asked / seconds, 2),
    }


async def _submit(http: aiohttp.ClientSession, audio: bytes) -> None:
    async with http.post("/v1/jobs", data=audio, headers={"Content-Type": "audio/wav"}) as answer:
        assert answer.status == 202


async def _wait(route: str, http: aiohttp.ClientSession, audio: bytes, sending: asyncio.Semaphore) -> None:
    """Send an upload that waits. The semaphore bounds how many connect at once."""
    async with sending:
        connecting = asyncio.create_task(_wait_by(route, http, audio))
        await asyncio.wait([connecting], timeout=0.05)
    await connecting


async def _listeners(http: aiohttp.ClientSession, url: str, wanted: int) -> bool:
    return (await scrape_url(http, url)).get("event_listeners") == wanted


async def _queries(http: aiohttp.ClientSession, url: str) -> float:
    return (await scrape_url(http, url)).get("event_queries_total")


def _resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


if __name__ == "__main__":
    main()
