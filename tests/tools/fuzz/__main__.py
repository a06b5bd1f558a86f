"""Fuzzing: runs the property tests with new random seeds until the time is over.

`make test` runs the same functions with deterministic examples. Hypothesis tests run repeatedly; tests with the mark
`fuzz`, such as schemathesis, run once. A failing example is printed as one line to copy, and the exit status is 1.
"""

import argparse
import os
import random
import sys
import time

import pytest

from tests.tools.fuzz.rounds import Rounds


def main() -> int:
    """Fuzz and return pytest's exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.fuzz", description="Fuzz with fresh randomness.")
    parser.add_argument("--seconds", type=float, default=120, help="to start new runs in; each property is run once")
    parser.add_argument("--seed", type=int, help="of the first run, the others count on from it")
    parser.add_argument("tests", nargs="*", default=["tests"], help="files or folders")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1 << 31) if given.seed is None else given.seed
    print(f"fuzz: SEED={seed} SECONDS={given.seconds:g}", flush=True)
    os.environ["FUZZ_SEED"] = str(seed)
    rounds = Rounds(seed, time.monotonic() + given.seconds)
    options = ["-q", "--no-header", "--hypothesis-profile=fuzz", f"--hypothesis-seed={seed}"]
    status = pytest.main([*given.tests, *options], plugins=[rounds])
    print(f"fuzz: {rounds.runs} runs of {rounds.properties} properties, {len(rounds.finds)} finds, SEED={seed}")
    for find in rounds.finds:
        print(find)
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
