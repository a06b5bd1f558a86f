"""Run a file through both services with real servers, from upload to COMPLETED, with the default denoising."""

import asyncio
import tempfile
import time
from pathlib import Path

import aiohttp

from tests.support.acceptance.client import Client
from tests.support.clips import JFK
from tests.support.models import MODEL, model_for
from tests.support.stack.launched import Launched, descendants
from tests.tools.benchmarks.contend import Result
from tests.tools.benchmarks.process_figures import cpu_s, peak_bytes

A_DAY_S = 24 * 3600


def run_through_services(audio: Path, engine: str, threads: int) -> Result:
    """Run with one processor and one slot. Its memory is the sum of the peaks of all its processes."""
    return asyncio.run(_run_through_services(audio, engine, threads))


async def _run_through_services(audio: Path, engine: str, threads: int) -> Result:
    environ = {
        "PROCESSORS": "1",
        "HEADRACE_TRANSCRIBER": engine,
        "HEADRACE_MODEL": MODEL,
        "HEADRACE_MODEL_DIR": str(model_for(engine).parent),
        "HEADRACE_THREADS": str(threads),
    }
    with tempfile.TemporaryDirectory(prefix="headrace-benchmark-") as folder:
        began = time.perf_counter()
        async with (stack := Launched(Path(folder), environ=environ)).ready():
            async with aiohttp.ClientSession(stack.url, timeout=aiohttp.ClientTimeout(total=None)) as http:
                client = Client(http)
                await _transcribe(client, JFK.path)  # warms the processor
                loaded, cpu_before_s = time.perf_counter(), sum(map(cpu_s, _services(stack)))
                text = await _transcribe(client, audio)
                ended, cpu_after_s = time.perf_counter(), sum(map(cpu_s, _services(stack)))
            peak = sum(map(peak_bytes, _tree(stack.pids()["processor-0"])))
    return Result(
        load_s=loaded - began,
        run_s=ended - loaded,
        cpu_s=cpu_after_s - cpu_before_s,
        peak_bytes=peak,
        text=text,
    )


def _services(stack: Launched) -> set[int]:
    pids = stack.pids()
    return _tree(pids["ingest"]) | _tree(pids["processor-0"])


def _tree(pid: int) -> set[int]:
    return {pid, *descendants(pid)}


async def _transcribe(client: Client, audio: Path) -> str:
    job_id = await client.submit(audio)
    job = await client.ended(job_id, within_s=A_DAY_S)
    assert job["status"] == "COMPLETED", job
    return str((await client.transcript(job_id))["text"])
