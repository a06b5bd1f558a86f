"""`python -m tests.tools.benchmarks.ingest`: compares Headrace's upload rate with the usual stack and a bare server.

All contenders run on this machine with the same PostgreSQL, Valkey and disk. Their order rotates with each repeat. All
accepted uploads are checked. Prints a table for each load, then one JSON object. Exit status 1 when a run failed or an
accepted upload was missing or wrong.
"""

import asyncio
import json
import os
import platform
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.tools.benchmarks.ingest.choices import Choices, read_choices
from tests.tools.benchmarks.ingest.contenders import Contender
from tests.tools.benchmarks.ingest.figures import RunFigures, run_figures
from tests.tools.benchmarks.ingest.loads import GB, Load
from tests.tools.benchmarks.ingest.report import as_json, table
from tests.tools.benchmarks.ingest.run_once import Runner
from tests.tools.benchmarks.ingest.serving import ServerFailedError
from tests.tools.benchmarks.ingest.storages import Storages

GENERATOR_CHECK = (
    "Check that the load generator was not the bottleneck: `of a core` is its CPU use (below 1.00 it waited for the "
    "server); `generator` is its rate against a server that answers immediately and stores nothing."
)


def main() -> int:
    choices = read_choices(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops the started processes, as Ctrl-C does
    _, max_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (max_files, max_files)
    )  # for the usual stack, which inherits it; Headrace raises its own limit
    with tempfile.TemporaryDirectory(prefix="headrace-benchmark-", ignore_cleanup_errors=True) as folder:
        report = asyncio.run(Benchmark(choices, Path(folder)).run())
    print(json.dumps(report))
    return 1 if report["failures"] or report["faults"] else 0


class Benchmark:
    """Runs all loads against all contenders."""

    def __init__(self, choices: Choices, folder: Path) -> None:
        self._choices = choices
        self._folder = folder
        self._failures: list[str] = []
        self._skipped: dict[str, str] = {}

    async def run(self) -> dict[str, Any]:
        """Run all loads; print a table for each and return the JSON object."""
        found: dict[str, dict[str, Any]] = {}
        async with Storages.opened(self._folder) as storages:
            choices = self._choices
            runner = Runner(storages=storages, servers=choices.processes, generators=choices.generators)
            for load in choices.loads():
                if reason := self._missing_disk_space(load):
                    self._skipped[load.name] = reason
                    print(f"\n{load}: skipped, {reason}", flush=True)
                    continue
                runs = await self._repeat(load, runner)
                print(f"\n{load}\n{table(runs)}", flush=True)
                found[load.name] = as_json(runs)
            print(f"\n{GENERATOR_CHECK}", flush=True)
            return {
                **_conditions(self._choices),
                "postgres": await storages.settings(),
                "loads": found,
                "skipped": self._skipped,
                "failures": self._failures,
                "faults": sum(sum(each["faults"].values()) for load in found.values() for each in load.values()),
            }

    async def _repeat(self, load: Load, runner: Runner) -> dict[str, list[RunFigures | None]]:
        contenders = self._ready_contenders()
        runs: dict[str, list[RunFigures | None]] = {contender.name: [] for contender in contenders}
        order = random.Random(self._choices.seed).sample(contenders, len(contenders))
        for repeat in range(self._choices.repeats):
            first = repeat % max(1, len(order))
            for contender in [*order[first:], *order[:first]]:
                runs[contender.name].append(await self._run(contender, load, runner))
        return runs

    def _ready_contenders(self) -> list[Contender]:
        chosen = self._choices.chosen_contenders()
        self._skipped |= {contender.name: contender.missing for contender in chosen if contender.missing}
        return [contender for contender in chosen if not contender.missing]

    async def _run(self, contender: Contender, load: Load, runner: Runner) -> RunFigures | None:
        try:
            run = await runner.run(contender, load)
        except (ServerFailedError, RuntimeError, OSError, ValueError) as error:
            self._failures.append(f"{contender.name}, {load.name}: {type(error).__name__}: {error}")
            _say(self._failures[-1])
            return None
        found = run_figures(run)
        _say(
            f"{contender.name}, {load.name}: {found.uploads_per_s:.1f}/s, errors {found.errors}, faults {found.faults}"
        )
        return found

    def _missing_disk_space(self, load: Load) -> str | None:
        free = shutil.disk_usage(self._folder).free
        if free >= load.disk_bytes:
            return None
        return f"needs {load.disk_bytes / GB:.0f} GB of disk; {free / GB:.0f} GB are free. Set TMPDIR to a larger disk"


def _conditions(choices: Choices) -> dict[str, object]:
    """Return the conditions of the run."""
    return {
        "repeats": choices.repeats,
        "seconds": choices.seconds,
        "processes": choices.processes,
        "generators": choices.generators,
        "seed": choices.seed,
        "overridden": sorted(name for name in os.environ if name.startswith("HEADRACE_")),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "python": platform.python_version()},
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _say(line: str) -> None:
    print(f"bench {time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
