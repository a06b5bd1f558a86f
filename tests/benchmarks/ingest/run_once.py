"""One run: a contender's server started afresh, warmed, put under one load, measured, checked and stopped."""

import os
from collections import Counter

import msgspec

from deploy.local.ports import free_port
from tests.benchmarks.ingest.check_accepted import CHECKS
from tests.benchmarks.ingest.contenders import Contender, Place
from tests.benchmarks.ingest.loads import SMALL_BYTES, Load
from tests.benchmarks.ingest.orders import Mode, Outcome
from tests.benchmarks.ingest.process_tree import Tree
from tests.benchmarks.ingest.put_load import put_load
from tests.benchmarks.ingest.serving import ServerFailedError, last_words, serving
from tests.benchmarks.ingest.storages import Storages

WARM_UP = Load(name="warm-up", mode=Mode.KEPT_ALIVE, audio_bytes=SMALL_BYTES, clients=64, seconds=1.0, most_s=60.0)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """`growth_bytes` is from before the load to the peak under it; `faults` is what was accepted and is not there."""

    outcome: Outcome
    audio_bytes: int
    processes: int  # of the server
    peak_bytes: int
    growth_bytes: int
    server_cpu_s: float
    storage_cpu_s: float  # PostgreSQL and Valkey
    faults: dict[str, int]


class Costs:
    """Memory and processor time of the servers from now on."""

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
        """Peak and growth in bytes. OSError when one of the processes has ended."""
        peak_bytes = self._server.peak_bytes()
        return peak_bytes, peak_bytes - self._resident_bytes

    def cpu_s(self, storages: Tree) -> tuple[float, float]:
        """Of the server and of the storages, as these are now."""
        return Tree.of(self._root).cpu_s() - self._server_cpu_s, storages.cpu_s() - self._storage_cpu_s


class Runner(msgspec.Struct, frozen=True, kw_only=True):
    """Runs contenders, one at a time; the numbers are of processes."""

    storages: Storages
    servers: int
    generators: int

    async def run(self, contender: Contender, load: Load) -> Measured:
        """Leaves nothing on the disk. ServerFailedError, OSError or RuntimeError when it could not be done."""
        await self.storages.empty()
        os.sync()  # what the run before left to write is not this one's
        try:
            return await self._measure(contender, load, self._place())
        finally:
            await self.storages.empty()

    async def _measure(self, contender: Contender, load: Load, place: Place) -> Measured:
        storages = self.storages
        async with serving(contender, place, storages.log) as server:
            warm = await put_load(WARM_UP, place.port, self.generators)
            if not warm.accepted:
                raise ServerFailedError(f"it accepts nothing, {warm.errors}: {last_words(storages.log)}")
            costs = Costs(server.pid, await storages.tree())
            outcome = await put_load(load, place.port, self.generators)
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

    def _place(self) -> Place:
        return Place(
            port=free_port(),
            processes=self.servers,
            uploads=self.storages.uploads,
            scratch=self.storages.scratch,
            database_url=self.storages.database_url,
            redis_url=self.storages.redis_url,
        )
