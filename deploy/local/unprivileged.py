"""Run programs as the user `nobody` when this process is root: PostgreSQL refuses to run as root.

The program gets one capability, to search folders. Without it, `nobody` cannot reach a virtual environment or a data
folder below a private home, and the stack does not change the permissions of such folders.
"""

import os
import pwd
import shutil
from pathlib import Path

from deploy.local.terminal import LocalStackError

# Bits of CapEff in /proc/self/status (linux/capability.h), the weaker first. Containers often lack the weaker one.
SEARCH_CAPABILITIES = ((2, "dac_read_search"), (1, "dac_override"))


def is_root() -> bool:
    return os.geteuid() == 0


def as_nobody() -> list[str]:
    """Return the prefix that runs a command as `nobody`; empty unless this process is root."""
    if not is_root():
        return []
    if shutil.which("setpriv") is None:
        raise LocalStackError(
            "PostgreSQL does not run as root. Install setpriv (util-linux), or run as an ordinary user."
        )
    nobody = pwd.getpwnam("nobody")
    identity = ["--reuid", str(nobody.pw_uid), "--regid", str(nobody.pw_gid), "--clear-groups"]
    return ["setpriv", *identity, *_search_capability(), "--"]


def give_to_nobody(folder: Path) -> None:
    """Make `nobody` the owner of a folder if this process is root."""
    if is_root():
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)


def _search_capability() -> list[str]:
    status = Path("/proc/self/status").read_text()
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    for bit, name in SEARCH_CAPABILITIES:
        if effective >> bit & 1:
            only = f"-all,+{name}"
            # no_setuid_fixup: else access(2), which initdb uses to find its binaries, ignores the capability
            sets = ("inh-caps", "ambient-caps", "bounding-set")
            return [*(f"--{each}={only}" for each in sets), "--securebits=+no_setuid_fixup"]
    return []
