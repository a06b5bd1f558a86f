"""Measure how long a client waits for an 11-second clip on a warm, idle worker. The times are printed, not asserted."""

import statistics
import time

import pytest

from tests.support.acceptance.client import Client
from tests.support.clips import JFK

pytestmark = pytest.mark.slow
RUNS = 10


async def test_print_the_time_from_upload_to_completed(client: Client) -> None:
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        assert (await client.ended(await client.submit(JFK.path)))["status"] == "COMPLETED"
        seconds.append(time.perf_counter() - started)

    print(f"11-second clip, upload to COMPLETED, s: median {statistics.median(seconds):.2f}, max {max(seconds):.2f}")
