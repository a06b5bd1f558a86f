"""Lets the process have as many connections as the system allows; the custom is 1,024 open files."""

import resource
from contextlib import suppress

from shared.telemetry.logs import Log

log = Log(__name__)

ENOUGH = 1 << 20  # where the system names no limit: some refuse to set none


def allow_open_files() -> None:
    """Raise the soft limit of open files to the hard one; processes started later inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else hard
    with suppress(ValueError, OSError):  # macOS caps it elsewhere, too; then the limit stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        log.debug("open_files_allowed", before=soft, now=wanted)
