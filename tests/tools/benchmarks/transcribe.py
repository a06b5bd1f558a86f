"""`python -m tests.tools.benchmarks.transcribe`: speed, word errors and memory of Headrace and its engines.

All contenders get the same audio, weights and number of threads, in separate processes, in an order drawn from the
seed. The CPU time by stage and the scale run follow. Prints tables and, last, one JSON object. The exit status is 1 if
a contender failed.
"""

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec

from tests.support.models import MODEL
from tests.support.stack.launched import ROOT
from tests.tools.benchmarks import scale
from tests.tools.benchmarks.contend import Result
from tests.tools.benchmarks.contenders import AS_A_CHILD, BASELINE, CONTENDERS, Contender, run_once
from tests.tools.benchmarks.figures import Figures, as_json, figures, table
from tests.tools.benchmarks.samples import Sample, sample
from tests.tools.benchmarks.word_errors import word_error_rate

NOT_INSTALLED = "not installed"


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # stops the started processes, as Ctrl-C does
    with sample(arguments.audio, arguments.reference) as recording:
        rows = _compare(recording, arguments)
        print(f"{recording.name}: {recording.duration_s:.0f} s, {MODEL}, {arguments.threads} threads")
        print(table(rows), flush=True)
        stages = _stages(recording)
        print("CPU seconds by stage, one thread:", *(f"{stage} {seconds:.1f}" for stage, seconds in stages.items()))
    efficiencies = scale.efficiencies(scale.measure(arguments.slots, arguments.chunk_takes_s))
    if efficiencies:
        print(scale.table(efficiencies), flush=True)
    scaled = {"chunk_takes_s": arguments.chunk_takes_s, "runs": msgspec.to_builtins(efficiencies)}
    print(
        json.dumps(
            {**_conditions(recording, arguments), "contenders": as_json(rows), "stages": stages, "scale": scaled}
        )
    )
    return 1 if any(isinstance(found, str) and found != NOT_INSTALLED for found in rows.values()) else 0


def _conditions(recording: Sample, arguments: argparse.Namespace) -> dict[str, object]:
    """The conditions of the figures."""
    return {
        "audio": recording.name,
        "duration_s": round(recording.duration_s, 3),
        "model": MODEL,
        "threads": arguments.threads,
        "repeats": arguments.repeats,
        "seed": arguments.seed,
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "python": platform.python_version()},
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.benchmarks.transcribe", description=__doc__)
    parser.add_argument("--audio", type=_path, help="a recording; default: the bundled clips")
    parser.add_argument("--reference", type=_path, help="a text file with the text of the recording")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only",
        default="",
        help="run the contenders whose names contain one of these, separated by commas; default: all",
    )
    parser.add_argument("--slots", type=_numbers, default="1,2,8,32", help="slots of the scale run; `none` skips it")
    parser.add_argument("--chunk-takes-s", type=float, default=10.0, help="duration of a chunk in the scale run")
    return parser.parse_args()


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if text != "none"]


def _compare(recording: Sample, arguments: argparse.Namespace) -> dict[str, Figures | str]:
    """The figures of each contender, or the reason why there are none, in the order of the table."""
    chosen = [one for one in CONTENDERS if any(name in one.name for name in arguments.only.split(","))]
    rounds = [(one, number) for number in range(arguments.repeats) for one in chosen if one.is_installed]
    random.Random(arguments.seed).shuffle(rounds)
    results: dict[str, list[Result]] = {one.name: [] for one in chosen}
    failures: dict[str, str] = {one.name: NOT_INSTALLED for one in chosen if not one.is_installed}
    for contender, _ in rounds:
        try:
            results[contender.name].append(_timed(contender, recording, arguments.threads))
        except (RuntimeError, AssertionError, TimeoutError, OSError) as error:
            failures[contender.name] = f"failed: {error}"
    baseline = [result.run_s for result in results.get(BASELINE, [])]
    baseline_s = median(baseline) if baseline else None
    return {name: failures.get(name) or _figures(done, recording, baseline_s) for name, done in results.items()}


def _stages(recording: Sample) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.tools.benchmarks.transcribe_stages", str(recording.audio)]
    environ = {**os.environ, **AS_A_CHILD, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    output = subprocess.run(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, check=True).stdout
    return msgspec.json.decode(output.splitlines()[-1], type=dict[str, float])


def _timed(contender: Contender, recording: Sample, threads: int) -> Result:
    _say(contender.name)
    result = run_once(contender, recording, threads)
    _say(f"{contender.name}: {result.run_s:.1f} s, {result.cpu_s:.1f} s of CPU")
    return result


def _figures(results: Sequence[Result], recording: Sample, baseline_s: float | None) -> Figures:
    errors = [word_error_rate(recording.reference, result.text) for result in results]
    known = [error for error in errors if error is not None]
    return figures(results, recording.duration_s, baseline_s, median(known) if known else None)


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _say(line: str) -> None:
    print(f"bench {time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
