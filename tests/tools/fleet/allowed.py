"""Checks whether this machine allows network namespaces."""

import os
import shutil
import subprocess
import sys

from deploy.local.unprivileged import as_nobody

PROGRAMS = ("unshare", "nsenter", "mount", "setpriv", "ip", "bridge")
SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")  # of `ip`; an ordinary PATH often lacks them
NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")
# The command in "$@" runs as the user `nobody`, as PostgreSQL does.
TRIAL = """
ip link add fleet type bridge
ip link add fleet-a type veth peer name fleet-b
mount -t tmpfs fleet /tmp
exec "$@" true
"""


def unavailable_reason() -> str:
    """Return a sentence that says what is missing; empty when a fleet can run."""
    if sys.platform != "linux":
        return "Network namespaces require Linux."
    if os.geteuid() != 0:
        return "Network namespaces need root. Run as root."
    if missing := [name for name in PROGRAMS if shutil.which(name, path=search_path()) is None]:
        return f"Missing programs: {', '.join(missing)}. Install them (Debian: util-linux, iproute2)."
    command = ["unshare", *NAMESPACES, "sh", "-ec", TRIAL, "trial", *as_nobody()]
    trial = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    if trial.returncode != 0:
        return f"Namespaces with a bridge and veth are not allowed here: {trial.stderr.strip() or 'no reason given'}"
    return ""


def search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_FOLDERS])


def environment() -> dict[str, str]:
    """Return our environment with a PATH that finds the programs."""
    return {**os.environ, "PATH": search_path()}
