"""`python -m tests.tools.benchmarks.scaling`: measures small runs, simulates and sizes large loads.

Prints tables, then one JSON object. With --write it saves the figures (measured.json, forecast.json) and rewrites the
tables and plots of docs/scaling.md. With --kept it measures nothing and reads the saved figures.
"""

import argparse
import asyncio
import os
import platform
import sys
import time

import msgspec

from tests.tools.benchmarks.scaling import forecast
from tests.tools.benchmarks.scaling import measured as kept
from tests.tools.benchmarks.scaling.count_costs import count_costs
from tests.tools.benchmarks.scaling.count_requests import count_requests
from tests.tools.benchmarks.scaling.measure_erase import measure_erase
from tests.tools.benchmarks.scaling.measure_queue import measure_queue
from tests.tools.benchmarks.scaling.measured import Measured
from tests.tools.benchmarks.scaling.plots import draw
from tests.tools.benchmarks.scaling.run_small import run_small
from tests.tools.benchmarks.scaling.sizing import LOADS, needs, parts
from tests.tools.benchmarks.scaling.tables import DOCUMENT, filled, tables


def main() -> int:
    arguments = _arguments()
    measured = kept.read() if arguments.kept else measure()
    _say("simulating both loads")
    found = forecast.forecast(measured)
    for name, table in tables(measured, found).items():
        print(f"{name}\n{table}\n", flush=True)
    if arguments.write:
        _write(measured, found)
    report = {
        "measured": measured,
        "needs": {load.name: needs(load, measured) for load in LOADS},
        "ends": {load.name: parts(load, measured) for load in LOADS},
        "forecast": found,
    }
    print(msgspec.json.encode(report).decode())
    return 0


def _write(measured: Measured, found: forecast.Forecast) -> None:
    kept.write(measured)
    forecast.write(found)
    DOCUMENT.write_text(filled(DOCUMENT.read_text(), measured, found))
    for path in draw(measured, found):
        _say(f"drew {path}, {path.stat().st_size} bytes")


def measure() -> Measured:
    """Measure on separate stacks. Takes about ten minutes."""
    _say("measuring the queue in Redis")
    queue = asyncio.run(measure_queue())
    _say("measuring the cost of a job in PostgreSQL and Redis")
    costs = asyncio.run(count_costs())
    _say("counting a job's requests to the bucket")
    requests = asyncio.run(count_requests())
    _say("erasing jobs")
    erasing = asyncio.run(measure_erase())
    _say("comparing small runs with their simulation")
    slot_times, runs = run_small()
    return Measured(
        machine=f"{os.cpu_count()} cores, Python {platform.python_version()}",
        slot_times=slot_times,
        runs=runs,
        short_job=costs.short_job,
        chunk=costs.chunk,
        long_job=costs.long_job,
        webhook=costs.webhook,
        idle=costs.idle,
        requests_short=requests.short,
        requests_chunk=requests.chunk,
        requests_long=requests.long,
        queue=queue,
        erasing=erasing,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.benchmarks.scaling", description=__doc__)
    parser.add_argument("--kept", action="store_true", help="measure nothing; read the saved figures")
    parser.add_argument(
        "--write", action="store_true", help="save the figures; rewrite the document's tables and plots"
    )
    return parser.parse_args()


def _say(line: str) -> None:
    print(f"bench {time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
