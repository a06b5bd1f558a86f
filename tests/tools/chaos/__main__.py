"""`python -m tests.tools.chaos`: inject faults run by run, then print a report as one JSON object.

The exit status is 1 if an invariant or a limit is violated. All randomness comes from the seed.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.tools.chaos.group import Group
from tests.tools.chaos.profiles import PROFILES, Profile
from tests.tools.chaos.run import Run
from tests.tools.chaos.runs import RUNS
from tests.tools.chaos.world import World

Report = dict[str, Any]


def main() -> int:
    arguments = _arguments()
    profile = PROFILES[arguments.profile]
    left_out = _names(arguments.leave_out)
    names = [name for name in _names(arguments.runs) or RUNS if name not in left_out]
    report = asyncio.run(_chaos(profile, arguments.seed, names, arguments.logs))
    print(json.dumps(report, indent=2))
    return 1 if report["violations"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.chaos")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--profile", choices=PROFILES, default="short")
    parser.add_argument("--runs", default="", help="such as C1,C5; all by default")
    parser.add_argument("--except", dest="leave_out", default="", help="such as C17, which compares times")
    parser.add_argument("--logs", type=Path, help="copy the logs of the services to this folder")
    return parser.parse_args()


def _names(given: str) -> list[str]:
    return [name.strip().upper() for name in given.split(",") if name.strip()]


async def _chaos(profile: Profile, seed: int, names: list[str], logs: Path | None) -> dict[str, object]:
    _stop_cleanly_on_sigterm()
    began = time.monotonic()
    dice = {
        name: random.Random(f"{seed} {name}") for name in names
    }  # a run draws the same numbers alone and in a group
    reports: dict[str, Report] = {}
    async with World.built(profile, random.Random(seed)) as world:
        _log(f"the services are ready after {time.monotonic() - began:.0f} s")
        for group in _groups(profile, names):
            reports |= await _run_group(world, {name: dice[name] for name in group})
        if logs is not None:
            world.keep_logs(logs)
    violations = {violation for report in reports.values() for violation in report["violations"]}
    return {
        "seed": seed,
        "profile": profile.name,
        "seconds": round(time.monotonic() - began),
        "runs": {name: reports[name] for name in names},
        "violations": len(violations),
    }


def _stop_cleanly_on_sigterm() -> None:
    """Handle SIGTERM like Ctrl-C: stop the services and servers before exit."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def _groups(profile: Profile, names: list[str]) -> list[list[str]]:
    """Return the runs in order. Runs that may run in parallel form one group."""
    groups: list[list[str]] = []
    for name in names:
        if not any(name in group for group in groups):
            together = next((group for group in profile.side_by_side if name in group), (name,))
            groups.append([one for one in names if one in together])
    return groups


async def _run_group(world: World, dice: dict[str, random.Random]) -> dict[str, Report]:
    await world.empty()
    group = Group(world, len(dice))
    runs = [Run(name, group, rng) for name, rng in dice.items()]
    await asyncio.gather(*map(_run, runs))
    return {run.name: {**run.figures, "violations": run.violations} for run in runs}


async def _run(run: Run) -> None:
    began = time.monotonic()
    _log(f"{run.name}: {(RUNS[run.name].__doc__ or '').strip()}")
    try:
        await RUNS[run.name](run)
    except Exception as error:  # noqa: BLE001 - an error in a run is a violation; the other runs continue
        traceback.print_exc(file=sys.stderr)
        run.violations.append(f"{run.name}: aborted: {type(error).__name__}: {error}")
    finally:
        run.arrive()
    run.figures["seconds"] = round(time.monotonic() - began, 1)
    _log(f"{run.name}: {run.figures}")
    for violation in run.violations:
        _log(f"{run.name}: VIOLATION {violation}")


def _log(line: str) -> None:
    print(f"chaos {time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
