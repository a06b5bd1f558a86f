"""`python -m tests.tools.benchmarks.ingest.upload_costs`: where the CPU of one small upload goes, in µs.

One ingest process, 64 connections, many short loads. The CPU of each process comes from the kernel; the median of the
loads is printed, and the least, which disturbs least on a shared machine. With py-spy installed, samples of the Python
stack divide the CPU of the ingest among its layers.
"""

import argparse
import asyncio
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.tools.benchmarks.ingest.contenders import CONTENDERS
from tests.tools.benchmarks.ingest.loads import SMALL_BYTES, Load
from tests.tools.benchmarks.ingest.orders import Mode
from tests.tools.benchmarks.ingest.process_tree import Tree
from tests.tools.benchmarks.ingest.put_load import put_load
from tests.tools.benchmarks.ingest.run_once import WARM_UP, Runner
from tests.tools.benchmarks.ingest.serving import serving
from tests.tools.benchmarks.ingest.storages import Storages

US = 1e6
SAMPLES_PER_S = 500
FRAME = re.compile(r"(?P<function>.*) \((?P<path>.*):\d+\)")
# The first pattern that matches `path:function` wins; a frame that matches none counts for its caller.
LAYERS = (
    ("event loop: polls, reads, timers", r"asyncio/runners\.py"),
    ("file system calls", r"shared/blobs/local_files\.py"),
    ("sha256", r"uploads/receive\.py:store_small_audio"),
    ("container formats", r"shared/media/|container_of"),
    ("answer: socket write", r"exchange\.py:_write$"),
    ("HTTP protocol", r"uvicorn/|ingest_service/server/"),
    ("form, options, body", r"uploads/(?:form|parse_options|body|receive|raw_pcm)\.py|multipart|schemas/options"),
    ("Postgres protocol, rows", r"asyncpg/|uploads/(?:commit|job_row)\.py|ingest_service/database\.py"),
    ("Redis", r"redis/|shared/queue/|uploads/notify\.py"),
    ("log lines", r"logging/|telemetry/(?:logs|redact)\.py|_log_request"),
    ("metrics", r"telemetry/"),
    ("ids", r"uuid\.py|shared/ids\.py"),
    ("quotas, free space", r"quotas/|free_space\.py|disk_reserve\.py|upload_slots\.py"),
    ("wrappers, fast path, submit", r"ingest_service/"),
)


class Cpu(NamedTuple):
    """µs of CPU an upload."""

    ingest: float
    postgres: float
    valkey: float


def layer_shares(stacks: Iterable[str]) -> Mapping[str, float]:
    """Return each layer's share of the samples of the main thread, from lines `frame;frame;… count`, leaf last."""
    found: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        frames = [match for frame in stack.split(";") if (match := FRAME.fullmatch(frame))]
        if any(frame["path"].endswith("asyncio/runners.py") for frame in frames):
            found[_layer(frames)] += int(count)
    return {layer: samples / found.total() for layer, samples in found.items()}


def _layer(frames: Sequence[re.Match[str]]) -> str:
    for frame in reversed(frames):
        place = f"{frame['path']}:{frame['function'].rpartition('.')[2]}"
        for layer, pattern in LAYERS:
            if re.search(pattern, place):
                return layer
    return "other"


class Costs:
    """Loads one server and reads the CPU of its processes."""

    def __init__(self, storages: Storages, port: int, ingest: int, audio_bytes: int) -> None:
        self._storages = storages
        self._port = port
        self._ingest = Tree(frozenset({ingest}))
        self._audio_bytes = audio_bytes

    async def of_one(self, seconds: float) -> Cpu:
        """Run one load. Raise RuntimeError if nothing was accepted."""
        clients = WARM_UP.clients
        load = Load(name="costs", mode=Mode.KEPT_ALIVE, audio_bytes=self._audio_bytes, clients=clients, seconds=seconds)
        before = await self._cpu_s()
        uploads = len((await put_load(load, self._port, 1)).accepted)
        if not uploads:
            raise RuntimeError("no upload was accepted")
        after = await self._cpu_s()
        return Cpu(*(US * (late - early) / uploads for late, early in zip(after, before, strict=True)))

    async def _cpu_s(self) -> tuple[float, float, float]:
        tree = await self._storages.tree()
        postgres = set(filter(_is_postgres, tree.pids))
        return self._ingest.cpu_s(), Tree(frozenset(postgres)).cpu_s(), Tree(tree.pids - postgres).cpu_s()


def _is_postgres(pid: int) -> bool:
    try:
        return b"postgres" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False  # it ended, and its parent counts its time


async def measure(
    contender: str, loads: int, seconds: float, audio_bytes: int
) -> tuple[list[Cpu], Mapping[str, float]]:
    """Return the CPU of each load, and the shares of the layers, if py-spy is installed."""
    server = next(each for each in CONTENDERS if each.name == contender)
    with tempfile.TemporaryDirectory(prefix="headrace-costs-", ignore_cleanup_errors=True) as name:
        async with Storages.opened(Path(name)) as storages:
            await storages.empty()
            config = Runner(storages=storages, servers=1, generators=1).server_config()
            async with serving(server, config, storages.log) as process:
                await put_load(WARM_UP, config.port, 1)
                ingest = max(Tree.of(process.pid).pids, key=lambda pid: Tree(frozenset({pid})).cpu_s())
                costs = Costs(storages, config.port, ingest, audio_bytes)
                found = [await costs.of_one(seconds) for _ in range(loads)]
                return found, await _sampled(costs, ingest, loads * seconds, Path(name) / "stacks")


async def _sampled(costs: Costs, ingest: int, seconds: float, stacks: Path) -> Mapping[str, float]:
    """Sample further loads: sampling slows the process down."""
    py_spy = shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if py_spy is None:
        return {}
    options = ["-d", f"{seconds:.0f}", "-r", str(SAMPLES_PER_S), "-f", "raw", "-o", str(stacks), "--nonblocking"]
    sampler = await asyncio.create_subprocess_exec(
        py_spy, "record", "-p", str(ingest), *options, stdout=asyncio.subprocess.DEVNULL
    )
    await costs.of_one(seconds)
    await sampler.wait()
    return layer_shares(stacks.read_text().splitlines())  # noqa: ASYNC240 - nothing else runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contender", default="headrace", choices=("headrace", "headrace-fsync", "bare"))
    parser.add_argument("--loads", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=1.0, help="duration of each load")
    parser.add_argument("--audio-bytes", type=int, default=SMALL_BYTES)
    chosen = parser.parse_args()
    costs, shares = asyncio.run(measure(chosen.contender, chosen.loads, chosen.seconds, chosen.audio_bytes))
    print("µs of CPU an upload: median, least")
    for process, of_loads in zip(Cpu._fields, zip(*costs, strict=True), strict=True):
        print(f"  {process:34} {median(of_loads):5.0f} {min(of_loads):5.0f}")
    ingest = median(cost.ingest for cost in costs)
    for layer, share in sorted(shares.items(), key=lambda each: -each[1]):
        print(f"    {layer:32} {share * ingest:5.0f}")


if __name__ == "__main__":
    main()
