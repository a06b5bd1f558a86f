"""One run: starts a contender's server, warms it, runs one load, measures, checks and stops it."""

import os
from collections import Counter

import msgspec

from deploy.local.ports import free_port
from tests.tools.benchmarks.ingest.check_accepted import CHECKS
from tests.tools.benchmarks.ingest.contenders import Contender, ServerConfig
from tests.tools.benchmarks.ingest.loads import SMALL_BYTES, Load
from tests.tools.benchmarks.ingest.orders import Mode, Outcome
from tests.tools.benchmarks.ingest.process_tree import Tree
from tests.tools.benchmarks.ingest.put_load import put_load
from tests.tools.benchmarks.ingest.serving import ServerFailedError, log_tail, serving
from tests.tools.benchmarks.ingest.storages import Storages

WARM_UP = Load(name="warm-up", mode=Mode.KEPT_ALIVE, audio_bytes=SMALL_BYTES, clients=64, seconds=1.0, timeout_s=60.0)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """`growth_bytes`: from before the load to its peak. `faults`: accepted uploads that are missing or wrong."""

    outcome: Outcome
    audio_bytes: int
    processes: int  # of the server
    peak_bytes: int
    growth_bytes: int
    server_cpu_s: float
    storage_cpu_s: float  # PostgreSQL and Valkey
    faults: dict[str, int]


class Costs:
    """Memory and CPU time of the servers since creation of this object."""

    def __init__(self, server_pid: int, storages: Tree) -> None:
        self._server = Tree.of(server_pid)
        self._root = server_pid
        self._storages = storages
        self._server.reset_peak()
        self._resident_bytes = self._server.resident_bytes()
        self._server_cpu_s = self._server.cpu_s()
        self._storage_cpu_s = storages.cpu_s()
        self.processes = len(self._server.pids)

    def memory(self) -> tuple[int, int]:
        """Return peak and growth in bytes. Raise OSError when a process has ended."""
        peak_bytes = self._server.peak_bytes()
        return peak_bytes, peak_bytes - self._resident_bytes

    def cpu_s(self, storages: Tree) -> tuple[float, float]:
        """Return the CPU seconds of the server and of the storages."""
        return Tree.of(self._root).cpu_s() - self._server_cpu_s, storages.cpu_s() - self._storage_cpu_s


class Runner(msgspec.Struct, frozen=True, kw_only=True):
    """Runs contenders, one at a time. `servers` and `generators` are process counts."""

    storages: Storages
    servers: int
    generators: int

    async def run(self, contender: Contender, load: Load) -> Measured:
        """Run one load and clean the disk. Raise ServerFailedError, OSError or RuntimeError on failure."""
        await self.storages.empty()
        os.sync()  # so that the previous run's dirty pages do not count here
        try:
            return await self._measure(contender, load, self.server_config())
        finally:
            await self.storages.empty()

    async def _measure(self, contender: Contender, load: Load, config: ServerConfig) -> Measured:
        storages = self.storages
        async with serving(contender, config, storages.log) as server:
            warm = await put_load(WARM_UP, config.port, self.generators)
            if not warm.accepted:
                raise ServerFailedError(
                    f"no upload of the warm-up was accepted, {warm.errors}: {log_tail(storages.log)}"
                )
            costs = Costs(server.pid, await storages.tree())
            outcome = await put_load(load, config.port, self.generators)
            server_cpu_s, storage_cpu_s = costs.cpu_s(await storages.tree())
            peak_bytes, growth_bytes = costs.memory()
            check = CHECKS[contender.kind]
            faults = await check(warm.accepted, WARM_UP.audio_bytes, storages)
            faults += await check(outcome.accepted, load.audio_bytes, storages)
        return Measured(
            outcome=outcome,
            audio_bytes=load.audio_bytes,
            processes=costs.processes,
            peak_bytes=peak_bytes,
            growth_bytes=growth_bytes,
            server_cpu_s=server_cpu_s,
            storage_cpu_s=storage_cpu_s,
            faults=dict(faults + Counter(warm.errors)),
        )

    def server_config(self) -> ServerConfig:
        """Return the configuration of a server on a free port."""
        return ServerConfig(
            port=free_port(),
            processes=self.servers,
            uploads=self.storages.uploads,
            scratch=self.storages.scratch,
            database_url=self.storages.database_url,
            redis_url=self.storages.redis_url,
        )
