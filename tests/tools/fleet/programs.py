"""Other programs on the fleet's hosts: the proxy, a lock holder and the command that makes an API key."""

import asyncio
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path

from deploy.local.processes import Processes
from tests.tools.chaos.services import clean_environment
from tests.tools.fleet.hosts import Host
from tests.tools.fleet.settings import SERVE_PORT, TENANT


async def proxy(host: Host, behind: Sequence[Host], log_path: Path) -> Process:
    """Start a proxy that forwards to these hosts."""
    addresses = [f"{one.address}:{SERVE_PORT}" for one in (host, *behind)]
    with log_path.open("wb") as log:
        return await Processes(host.inside).start(
            [sys.executable, "-m", "tests.tools.fleet.proxy", *addresses],
            env=clean_environment(),
            output=log,
            parent_death_signal=signal.SIGKILL,
        )


async def start_lock_holder(host: Host, database_url: str) -> Process:
    """Start a program on a host that holds a database lock; return once it holds the lock."""
    holder = await Processes(host.inside).start(
        [sys.executable, "-m", "tests.tools.fleet.hold_lock"],
        env=clean_environment() | {"HEADRACE_DATABASE_URL": database_url},
        output=PIPE,
        parent_death_signal=signal.SIGKILL,
    )
    assert holder.stdout is not None
    line = await holder.stdout.readline()
    assert line == b"held\n", line + await holder.stdout.read()
    return holder


async def make_api_key(host: Host, database_url: str) -> tuple[str, str]:
    """Make a tenant and an API key with all scopes on an ingest's host. Return the key and the webhook secret."""
    options = ("create", "--tenant", TENANT, "--scopes", "submit,read,admin")
    process = await asyncio.create_subprocess_exec(
        *host.inside,
        *(sys.executable, "-m", "ingest_service.auth", *options),
        env=clean_environment() | {"HEADRACE_DATABASE_URL": database_url},
        stdout=PIPE,
        stderr=PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    (secret,) = re.findall(r"whsec_\S+", errors.decode())
    return output.decode().strip(), secret
