"""A Prometheus that scrapes a running pair answers every query of the dashboard and fires no alert."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from deploy.local.ports import free_port
from tests.support.ingest.serving import until
from tests.support.metrics.pair import Pair
from tests.support.metrics.prometheus_tools import program
from tests.support.metrics.queries import RULES, dashboard

SCRAPES = 5


@contextlib.asynccontextmanager
async def prometheus(pair: Pair, folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Run a Prometheus that scrapes the pair every second; yield a client of its API."""
    targets = {"headrace-ingest": pair.ingest_url, "headrace-processor": pair.processor_url}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": [urlsplit(url).netloc]}]} for name, url in targets.items()
        ],
    }
    file = folder / "prometheus.json"
    file.write_text(json.dumps(config))  # JSON is valid YAML
    address = f"127.0.0.1:{free_port()}"
    flags = (f"--config.file={file}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}")
    process = await asyncio.create_subprocess_exec(
        program("prometheus"), *flags, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with aiohttp.ClientSession(f"http://{address}") as http:
            yield http
    finally:
        process.terminate()
        await process.wait()


async def answer(http: aiohttp.ClientSession, query: str) -> list[Any]:
    async with http.get("/api/v1/query", params={"query": query}) as response:
        body = await response.json()
        assert body["status"] == "success", (query, body)
        return list(body["data"]["result"])


async def is_scraped(http: aiohttp.ClientSession) -> bool:
    with contextlib.suppress(aiohttp.ClientError):  # Prometheus is starting
        enough = await answer(http, f"count_over_time(up[1m]) >= {SCRAPES} and up == 1")
        return len(enough) == 2
    return False


async def test_every_query_of_the_dashboard_has_an_answer(pair: Pair, tmp_path: Path) -> None:
    program("prometheus")
    async with prometheus(pair, tmp_path) as http:
        await until(lambda: is_scraped(http), timeout_s=60)
        empty = [query for query in dashboard().queries if not await answer(http, query)]
        nothing = await answer(http, "headrace_no_such_metric")
        alerts = await answer(http, 'ALERTS{alertstate="firing"}')
    assert empty == nothing == alerts == []
