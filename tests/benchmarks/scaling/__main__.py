"""`python -m tests.benchmarks.scaling`: measures small runs and single costs, simulates, and sizes.

Prints tables, and one JSON object last. With --write it keeps the figures (measured.json) and draws deploy/SCALING.md's
tables and plots anew; with --kept it measures nothing and takes the figures that are kept.
"""

import argparse
import asyncio
import os
import platform
import sys
import time

import msgspec

from tests.benchmarks.scaling import forecast
from tests.benchmarks.scaling import measured as kept
from tests.benchmarks.scaling.count_costs import count_costs
from tests.benchmarks.scaling.count_requests import count_requests
from tests.benchmarks.scaling.look_at_queue import look_at_queue
from tests.benchmarks.scaling.measured import Measured
from tests.benchmarks.scaling.plots import draw
from tests.benchmarks.scaling.run_small import run_small
from tests.benchmarks.scaling.sizing import LOADS, needs, parts
from tests.benchmarks.scaling.tables import DOCUMENT, filled, tables


def main() -> int:
    arguments = _arguments()
    measured = kept.read() if arguments.kept else measure()
    _say("the simulation of both loads")
    found = forecast.forecast(measured)
    for name, table in tables(measured, found).items():
        print(f"{name}\n{table}\n", flush=True)
    if arguments.write:
        _write(measured, found)
    told = {
        "measured": measured,
        "needs": {load.name: needs(load, measured) for load in LOADS},
        "ends": {load.name: parts(load, measured) for load in LOADS},
        "forecast": found,
    }
    print(msgspec.json.encode(told).decode())
    return 0


def _write(measured: Measured, found: forecast.Forecast) -> None:
    kept.write(measured)
    forecast.write(found)
    DOCUMENT.write_text(filled(DOCUMENT.read_text(), measured, found))
    for path in draw(measured, found):
        _say(f"drew {path}, {path.stat().st_size} bytes")


def measure() -> Measured:
    """Some ten minutes, on stacks of its own."""
    _say("the queue in Redis")
    queue = asyncio.run(look_at_queue())
    _say("what a job costs PostgreSQL and Redis")
    costs = asyncio.run(count_costs())
    _say("what a job asks of the bucket")
    requests = asyncio.run(count_requests())
    _say("small runs, beside their simulation")
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
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scaling", description=__doc__)
    parser.add_argument("--kept", action="store_true", help="measure nothing")
    parser.add_argument("--write", action="store_true", help="keep the figures; draw the document's tables and plots")
    return parser.parse_args()


def _say(line: str) -> None:
    print(f"bench {time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
