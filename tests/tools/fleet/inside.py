"""The part of `make fleet` that runs inside the namespaces: builds the fleet, runs the scenarios, checks the result."""

import argparse
import asyncio
import contextlib
import json
import random
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.tools.chaos.facts import Facts
from tests.tools.chaos.group import UNDER_WAY
from tests.tools.chaos.invariants import violations_of
from tests.tools.chaos.waiting import became_true
from tests.tools.fleet.fleet import Fleet
from tests.tools.fleet.gather import gather
from tests.tools.fleet.report import Report, report
from tests.tools.fleet.scenarios import SCENARIOS
from tests.tools.fleet.trial import Trial

QUIET_WITHIN_S, SETTLED_WITHIN_S = 90.0, 45.0  # from the last fault until all jobs ended; then until cleanup is done
LOOK_EVERY_S = 1.0


def main() -> int:
    arguments = _arguments()
    try:
        printed = asyncio.run(_run(arguments))
    except asyncio.CancelledError:
        print("fleet: stopped; all processes and folders removed", file=sys.stderr)
        return 1
    print(json.dumps(printed, indent=2))
    return 1 if printed["violations"] else 0


async def _run(arguments: argparse.Namespace) -> Report:
    await _stop_when_stdin_closes()
    began = time.monotonic()
    names = arguments.scenarios.split(",") if arguments.scenarios else list(SCENARIOS)
    trials: list[Trial] = []
    async with Fleet.built(arguments.base, model_dir=arguments.model_dir, logs=arguments.logs) as fleet:
        _say(f"fleet ready after {time.monotonic() - began:.0f} s")
        for name in names:
            trials.append(Trial(name, fleet, random.Random(f"{arguments.seed} {name}")))
            await _run_scenario(trials[-1])
        facts = await _settled(fleet, trials)
    return report(
        facts,
        {trial.name: trial.figures for trial in trials},
        [violation for trial in trials for violation in trial.violations],
        seed=arguments.seed,
        seconds=time.monotonic() - began,
    )


async def _run_scenario(trial: Trial) -> None:
    scenario, began = SCENARIOS[trial.name], time.monotonic()
    _say(f"{trial.name}: {(scenario.__doc__ or '').strip()}")
    try:
        await scenario(trial)
    except Exception as error:  # noqa: BLE001 - a failed scenario is a violation; the others still run
        traceback.print_exc(file=sys.stderr)
        trial.violations.append(f"{trial.name}: scenario failed: {type(error).__name__}: {error}")
    trial.figures["took_s"] = round(time.monotonic() - began, 1)
    _say(f"{trial.name}: {trial.figures}")
    for violation in trial.violations:
        _say(f"{trial.name}: VIOLATION {violation}")


async def _settled(fleet: Fleet, trials: Sequence[Trial]) -> Facts:
    """Return the facts once all jobs ended and cleanup is done, or the facts at the timeout."""
    await became_true(lambda: _is_quiet(fleet), within_s=QUIET_WITHIN_S)
    clock = asyncio.get_running_loop().time
    deadline_s = clock() + SETTLED_WITHIN_S
    while pending := violations_of(facts := await _facts(fleet, trials)):
        _say(f"not settled: {len(pending)} violations, such as {pending[0]}")
        if clock() > deadline_s:
            break
        await asyncio.sleep(LOOK_EVERY_S)
    return facts


async def _is_quiet(fleet: Fleet) -> bool:
    return not await fleet.record.value(UNDER_WAY)


async def _facts(fleet: Fleet, trials: Sequence[Trial]) -> Facts:
    return await gather(
        fleet,
        tuple(attempt for trial in trials for attempt in trial.load.attempts),
        struck=frozenset(who for trial in trials for who in trial.struck),
        calls_allowed_again=sum(trial.calls_allowed_again for trial in trials),
    )


async def _stop_when_stdin_closes() -> None:
    """Cancel the current task when standard input, a pipe from the parent process, closes."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)

    async def watch() -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        task.cancel()

    _watchers.append(loop.create_task(watch()))


_watchers: list[asyncio.Task[None]] = []  # an unreferenced task may be garbage collected


def _say(line: str) -> None:
    print(f"fleet {time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.fleet.inside")
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scenarios", default="")
    parser.add_argument("--logs", type=Path)
    parser.add_argument("--model-dir", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
