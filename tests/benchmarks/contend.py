"""One contender in a process of its own, so that its peak memory is its own: `python -m tests.benchmarks.contend`.

Reads a Setup from standard input; loads the model, transcribes, prints a Result as one line of JSON. Loading is timed
apart from transcribing.
"""

import sys
import time
from collections.abc import Callable
from importlib import import_module

import msgspec

from tests.benchmarks.process_figures import peak_bytes

Run = Callable[[], str]  # transcribes, and returns the text


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What a contender is given; `contender` is `module:function` beside this file."""

    contender: str
    flac: str  # paths
    checkpoint: str
    ctranslate2_folder: str
    threads: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; `peak_bytes` is the most memory that was ever resident at a time, `cpu_s` of the run alone."""

    load_s: float
    run_s: float
    cpu_s: float
    peak_bytes: int
    text: str


def main() -> None:
    setup = msgspec.json.decode(sys.stdin.buffer.read(), type=Setup)
    began = time.perf_counter()
    run = _prepare(setup)
    loaded, cpu_before_s = time.perf_counter(), time.process_time()
    text = run()
    ended, cpu_after_s = time.perf_counter(), time.process_time()
    result = Result(
        load_s=loaded - began,
        run_s=ended - loaded,
        cpu_s=cpu_after_s - cpu_before_s,
        peak_bytes=peak_bytes("self"),
        text=text,
    )
    print(msgspec.json.encode(result).decode(), flush=True)


def _prepare(setup: Setup) -> Run:
    module, _, function = setup.contender.partition(":")
    if module != "faster_whisper_contenders":  # it imports no torch
        import torch

        torch.set_num_threads(setup.threads)
    run: Run = getattr(import_module(f"tests.benchmarks.{module}"), function)(setup)
    return run


if __name__ == "__main__":
    main()
