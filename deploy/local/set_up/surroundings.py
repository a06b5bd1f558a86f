"""What set-up finds around it: the user, a compiler, a GPU, a proxy; and lines for the person at the terminal."""

import os
import pwd
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from deploy.local.set_up.errors import SetUpError

GPU_SIGNS = (Path("/dev/nvidia0"), Path("/proc/driver/nvidia/version"))


def say(line: str) -> None:
    """Print one line now, also into a pipe."""
    print(f"set-up: {line}", flush=True)


def check_surroundings(environ: Mapping[str, str]) -> None:
    """Raise SetUpError for what would fail only after everything is fetched."""
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        raise SetUpError("This Python has no module venv (Debian: apt-get install python3-venv).")
    if not _has_name(os.geteuid()) and "HEADRACE_DATABASE_URL" not in environ:
        raise SetUpError(
            f"User id {os.geteuid()} has no entry in /etc/passwd, and PostgreSQL does not start without one. Add an"
            " entry, run as another user, or set HEADRACE_DATABASE_URL to a database of your own."
        )
    if shutil.which(environ.get("CC", "cc")) is None:
        say("There is no C compiler here; a package that has no build for this machine could not be compiled.")


def _has_name(user_id: int) -> bool:
    try:
        pwd.getpwuid(user_id)
    except KeyError:
        return False
    return True


def has_gpu() -> bool:
    """Whether this machine has a GPU of NVIDIA's, with its driver."""
    return shutil.which("nvidia-smi") is not None or any(sign.exists() for sign in GPU_SIGNS)


def proxy_hint() -> str:
    """The proxy that pip goes through, without its password, as the end of a sentence; empty without one."""
    proxies = getproxies()
    url = urlsplit(proxies.get("https") or proxies.get("http") or proxies.get("all") or "")
    return f" through the proxy {url.scheme}://{url.netloc.rpartition('@')[2]}" if url.netloc else ""


def readable_size(size_bytes: int) -> str:
    """Such as `2.7 GB`, `191 MB`, `0 MB`."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
