"""Run a service as a real process under a supervisor that restarts it when it ends, as an orchestrator does."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import aiohttp
import msgspec

from deploy.local.ports import LOOPBACK
from deploy.local.processes import Processes
from tests.support.stack.launched import descendants
from tests.tools.chaos.waiting import until

ROOT = Path(__file__).parents[3]
GRACE_S = 30.0
READY_WITHIN_S = 90.0
RESTART_DELAY_S = 0.05  # avoids a busy loop if the process cannot start

Environment = Callable[[str], Mapping[str, str]]


class Life(msgspec.Struct, kw_only=True):
    """One process of a service. `who` is its name in the audit. Times are seconds of Unix time."""

    who: str
    pid: int
    started_at: float
    ended_at: float | None = None
    status: int | None = None


class Service:
    """`python -m module`, kept running. `environ` returns the environment of each process by its name."""

    def __init__(  # noqa: PLR0913 - all that a process has
        self,
        name: str,
        module: str,
        health_url: str,
        environ: Environment,
        log: Path,
        *,
        inside: Sequence[str] = (),
    ) -> None:
        """Create the service. `inside` is passed to Processes."""
        self.name = name
        self.lives: list[Life] = []
        self.health_url = health_url
        self._module = module
        self._environ = environ
        self._log = log
        self._processes = Processes(inside)
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False
        self.extra: dict[str, str] = {}  # additional environment of later processes, for one run

    @property
    def life(self) -> Life:
        return self.lives[-1]

    async def start(self) -> None:
        self._stopping = False
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Stop the service with SIGTERM, without a restart."""
        self._stopping = True
        self._send(signal.SIGCONT)
        self._send(signal.SIGTERM)
        if self._keeper is not None:
            try:
                await asyncio.wait_for(asyncio.shield(self._keeper), GRACE_S)
            except TimeoutError:
                self._send(signal.SIGKILL)
                await self._keeper

    async def fall(self) -> None:
        """Kill the process and its descendants, without a restart, as in a power failure."""
        self._stopping = True
        for pid in self.family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self._keeper is not None
        await self._keeper

    def kill(self) -> Life:
        return self.strike(signal.SIGKILL)

    def strike(self, number: signal.Signals) -> Life:
        """Send a signal to the process. Return the life that got it."""
        life = self.life
        self._send(number)
        return life

    def restart(self, extra: Mapping[str, str]) -> Life:
        """Restart with SIGTERM and an extended environment. Return the life that ends."""
        self.extra = dict(extra)
        return self.strike(signal.SIGTERM)

    def family(self) -> set[int]:
        """Return the pids of the process and its descendants."""
        return {self.life.pid, *descendants(self.life.pid)}

    async def until_ready(self, *, after: Life | None = None) -> None:
        """Wait until the service is ready. `after` is a life that must have ended."""
        async with aiohttp.ClientSession() as http:
            await until(lambda: self.life is not after and _is_live(http, self.health_url), within_s=READY_WITHIN_S)

    async def until_ended(self, life: Life) -> None:
        await until(lambda: life.ended_at is not None, within_s=READY_WITHIN_S)

    def _send(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def _spawn(self) -> None:
        who = f"{self.name}.{len(self.lives)}"
        environ = {**clean_environment(), **self._environ(who), **self.extra}
        command = [sys.executable, "-m", self._module]
        with self._log.open("ab") as log:
            self._process = await self._processes.start(
                command, env=environ, output=log, parent_death_signal=signal.SIGKILL
            )
        self.lives.append(Life(who=who, pid=self._process.pid, started_at=time.time()))

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            status = await self._process.wait()
            self.life.ended_at, self.life.status = time.time(), status
            if self._stopping:
                return
            await asyncio.sleep(RESTART_DELAY_S)
            await self._spawn()


async def _is_live(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with http.get(url, timeout=aiohttp.ClientTimeout(total=2)) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


def health_url(port: int, host: str = LOOPBACK) -> str:
    return f"http://{host}:{port}/health/live"


def clean_environment() -> dict[str, str]:
    """Return our environment without Headrace and PostgreSQL variables."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HEADRACE_", "PG"))}
    return inherited | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}
