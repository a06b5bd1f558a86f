"""Whether this machine lets us have network namespaces, and why not, in words."""

import os
import shutil
import subprocess
import sys

from deploy.local.unprivileged import as_nobody

PROGRAMS = ("unshare", "nsenter", "mount", "setpriv", "ip", "bridge")
SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")  # where `ip` is, and an ordinary PATH often is not
NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private")
# What is behind it must be able to run as `nobody`, as PostgreSQL does.
TRIAL = """
ip link add fleet type bridge
ip link add fleet-a type veth peer name fleet-b
mount -t tmpfs fleet /tmp
exec "$@" true
"""


def why_not() -> str:
    """A sentence that says what is missing; empty when a fleet can be had."""
    if sys.platform != "linux":
        return "Network namespaces are Linux'; this is another system."
    if os.geteuid() != 0:
        return "Network namespaces need root here; this is an ordinary user."
    if missing := [name for name in PROGRAMS if shutil.which(name, path=search_path()) is None]:
        return f"These programs are missing: {', '.join(missing)} (Debian: util-linux, iproute2)."
    command = ["unshare", *NAMESPACES, "sh", "-ec", TRIAL, "trial", *as_nobody()]
    trial = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    if trial.returncode != 0:
        return f"Namespaces with a bridge and veth are not allowed here: {trial.stderr.strip() or 'no reason is told'}"
    return ""


def search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_FOLDERS])


def environment() -> dict[str, str]:
    """Our own, with which the programs are found."""
    return {**os.environ, "PATH": search_path()}
