"""The benchmark's command line."""

import argparse
import os
from collections.abc import Sequence
from typing import Any

from tests.tools.benchmarks.ingest.contenders import CONTENDERS, HEADRACE_FSYNC, Contender
from tests.tools.benchmarks.ingest.loads import GB, Load, make_loads

LOADS = ("small", "spike", "held", "large", "huge")
CONTENDER_NAMES = [each.name for each in CONTENDERS]


class Choices(argparse.Namespace):
    """The typed arguments."""

    only: list[str]
    contenders: list[str]
    fsync: bool
    repeats: int
    seconds: float
    processes: int
    generators: int
    spike_clients: int
    held_clients: int
    hold_s: float
    huge_bytes: int
    seed: int

    def loads(self) -> list[Load]:
        """Return the selected loads in the order of the tables."""
        loads = make_loads(self.seconds, self.spike_clients, self.held_clients, self.hold_s, self.huge_bytes)
        return [load for load in loads if not self.only or load.name in self.only]

    def chosen_contenders(self) -> list[Contender]:
        """Return the named contenders, by default all. `headrace-fsync` runs when named or with `--fsync`."""
        names = self.contenders or [each.name for each in CONTENDERS if each is not HEADRACE_FSYNC]
        return [each for each in CONTENDERS if each.name in names or (each is HEADRACE_FSYNC and self.fsync)]


def read_choices(description: str | None) -> Choices:
    """Parse the command line. Invalid arguments end the process with a message."""
    cores = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(prog="python -m tests.tools.benchmarks.ingest", description=description)
    parser.add_argument("--only", type=_names(LOADS), default="", help=f"loads: {', '.join(LOADS)}; default: all")
    parser.add_argument("--contenders", type=_names(CONTENDER_NAMES), default="", help=", ".join(CONTENDER_NAMES))
    parser.add_argument("--fsync", action="store_true", help="also run Headrace with HEADRACE_FSYNC=true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="duration of `small` and `large`")
    parser.add_argument(
        "--processes", type=int, default=cores, help="processes of each server; default: number of cores"
    )
    parser.add_argument("--generators", type=int, default=1, help="processes of the load generator")
    parser.add_argument("--spike-clients", type=int, default=1000)
    parser.add_argument("--held-clients", type=int, default=10_000)
    parser.add_argument("--hold-s", type=float, default=20.0, help="how long each upload of `held` stays open")
    parser.add_argument("--huge-bytes", type=int, default=5 * GB)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first repeat's order")
    return parser.parse_args(namespace=Choices())


def _names(known: Sequence[str]) -> Any:
    """Return a parser of `a,b`; empty text is an empty list."""

    def names(text: str) -> list[str]:
        found = [name.strip() for name in text.split(",") if name.strip()]
        if unknown := set(found) - set(known):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; allowed: {', '.join(known)}")
        return found

    return names
