"""Run one contender in a separate process, to know its peak memory: `python -m tests.tools.benchmarks.contend`.

Reads a Setup from standard input, loads the model, transcribes and prints a Result as one line of JSON. Loading and
transcribing are timed separately.
"""

import sys
import time
from collections.abc import Callable
from importlib import import_module

import msgspec

from tests.tools.benchmarks.process_figures import peak_bytes

Run = Callable[[], str]  # transcribes, and returns the text


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a contender; `contender` is `module:function` in this folder."""

    contender: str
    flac: str  # paths
    checkpoint: str
    ctranslate2_folder: str
    threads: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result; `peak_bytes` is the peak of the resident memory, `cpu_s` is without loading."""

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
    if module != "faster_whisper_contenders":  # which does not import torch
        import torch

        torch.set_num_threads(setup.threads)
    run: Run = getattr(import_module(f"tests.tools.benchmarks.{module}"), function)(setup)
    return run


if __name__ == "__main__":
    main()
