"""The contenders, and one run of each."""

import importlib.util
import os
import subprocess
import sys

import msgspec

from tests.support.models import model_for
from tests.support.stack.launched import ROOT
from tests.tools.benchmarks.contend import Result, Setup
from tests.tools.benchmarks.run_through_services import run_through_services
from tests.tools.benchmarks.samples import Sample

BASELINE = "whisper command line"
FASTER_WHISPER, CTRANSLATE2 = "faster_whisper", "ctranslate2"

AS_A_CHILD = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_ARENA_MAX": "2",
}  # as in processor_service.compute.child_process


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """A contender: a function of tests.tools.benchmarks, or an engine behind both services."""

    name: str
    function: str = ""
    pair_engine: str = ""
    needs: str = "whisper"  # a module

    @property
    def is_installed(self) -> bool:
        return importlib.util.find_spec(self.needs) is not None


CONTENDERS = (
    Contender(name=BASELINE, function="whisper_contenders:command_line"),
    Contender(name="whisper.transcribe", function="whisper_contenders:greedy"),
    Contender(name="faster-whisper", function="faster_whisper_contenders:sequential", needs=FASTER_WHISPER),
    Contender(
        name="faster-whisper greedy", function="faster_whisper_contenders:sequential_greedy", needs=FASTER_WHISPER
    ),
    Contender(name="faster-whisper batched", function="faster_whisper_contenders:batched", needs=FASTER_WHISPER),
    Contender(
        name="faster-whisper batched greedy",
        function="faster_whisper_contenders:batched_greedy",
        needs=FASTER_WHISPER,
    ),
    Contender(name="Headrace openai-whisper", function="headrace_contenders:openai_whisper"),
    Contender(name="Headrace faster-whisper", function="headrace_contenders:faster_whisper", needs=CTRANSLATE2),
    Contender(name="Headrace openai-whisper, pair", pair_engine="openai-whisper"),
    Contender(name="Headrace faster-whisper, pair", pair_engine="faster-whisper", needs=CTRANSLATE2),
)


def run_once(contender: Contender, sample: Sample, threads: int) -> Result:
    """Run a contender in separate processes. Raise RuntimeError with the end of its error output."""
    if contender.pair_engine:
        return run_through_services(sample.audio, contender.pair_engine, threads)
    setup = Setup(
        contender=contender.function,
        flac=str(sample.flac),
        checkpoint=str(model_for("openai-whisper")),
        ctranslate2_folder=str(model_for("faster-whisper")),
        threads=threads,
    )
    command = [sys.executable, "-m", "tests.tools.benchmarks.contend"]
    environ = {**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    if contender.function.startswith("headrace"):
        environ |= AS_A_CHILD
    request = msgspec.json.encode(setup)
    done = subprocess.run(command, cwd=ROOT, env=environ, input=request, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-2000:])
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Result)
