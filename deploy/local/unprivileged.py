"""Root's way to run PostgreSQL, which refuses to: as `nobody`, who keeps one right of root's, to look into folders.

Without that right `nobody` could reach neither a virtual environment nor a data folder below a home that is closed to
others, and opening such folders is not ours to do.
"""

import os
import pwd
import shutil
from pathlib import Path

from deploy.local.terminal import LocalStackError

# Bits of CapEff in /proc/self/status (linux/capability.h), the weaker first. Containers often lack that one.
LOOKING_RIGHTS = ((2, "dac_read_search"), (1, "dac_override"))


def is_root() -> bool:
    return os.geteuid() == 0


def as_nobody() -> list[str]:
    """What to put before a command so that it runs as `nobody`; nothing for an ordinary user."""
    if not is_root():
        return []
    if shutil.which("setpriv") is None:
        raise LocalStackError("As root, PostgreSQL needs the command setpriv (util-linux); or run as an ordinary user.")
    nobody = pwd.getpwnam("nobody")
    identity = ["--reuid", str(nobody.pw_uid), "--regid", str(nobody.pw_gid), "--clear-groups"]
    return ["setpriv", *identity, *_right_to_look(), "--"]


def give_to_nobody(folder: Path) -> None:
    """Make `nobody` the owner of an empty folder, when root is to run its program so."""
    if is_root():
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)


def _right_to_look() -> list[str]:
    status = Path("/proc/self/status").read_text()
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    for bit, name in LOOKING_RIGHTS:
        if effective >> bit & 1:
            only = f"-all,+{name}"
            # no_setuid_fixup: access(2), with which initdb looks for its binaries, would else judge without the right
            return [
                "--inh-caps",
                only,
                "--ambient-caps",
                only,
                "--bounding-set",
                only,
                "--securebits",
                "+no_setuid_fixup",
            ]
    return []
