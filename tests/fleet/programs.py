"""Programs on hosts of the fleet besides the servers and the services: the proxy, and what an operator does once."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path

from deploy.local.processes import Processes
from tests.chaos.services import clean_environment
from tests.fleet.hosts import Host
from tests.fleet.settings import SERVE_PORT, TENANT


async def proxy(host: Host, behind: Sequence[Host], log_path: Path) -> Process:
    """Start the proxy before these hosts."""
    addresses = [f"{one.address}:{SERVE_PORT}" for one in (host, *behind)]
    with log_path.open("wb") as log:
        return await Processes(host.inside).start(
            [sys.executable, "-m", "tests.fleet.proxy", *addresses],
            env=clean_environment(),
            output=log,
            dies_with_us_by=signal.SIGKILL,
        )


async def holder_of_a_lock(host: Host, database_url: str) -> Process:
    """A program on a processor's machine that holds a lock in the record by now."""
    holder = await Processes(host.inside).start(
        [sys.executable, "-m", "tests.fleet.hold_lock"],
        env=clean_environment() | {"HEADRACE_DATABASE_URL": database_url},
        output=PIPE,
        dies_with_us_by=signal.SIGKILL,
    )
    assert holder.stdout is not None
    line = await holder.stdout.readline()
    assert line == b"held\n", line + await holder.stdout.read()
    return holder


async def make_api_key(host: Host, database_url: str) -> str:
    """A key for all that the scenarios do, made on an ingest's machine."""
    how = ("create", "--tenant", TENANT, "--scopes", "submit,read,admin")
    process = await asyncio.create_subprocess_exec(
        *host.inside,
        *(sys.executable, "-m", "ingest_service.auth", *how),
        env=clean_environment() | {"HEADRACE_DATABASE_URL": database_url},
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode().strip()
