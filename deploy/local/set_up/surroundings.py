"""The environment of set-up (user, compiler, GPU, proxy), its errors and its messages."""

import os
import pwd
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

GPU_SIGNS = (Path("/dev/nvidia0"), Path("/proc/driver/nvidia/version"))


class SetUpError(Exception):
    """The environment cannot be created; the message is one line."""


class NotFoundError(SetUpError):
    """An index has no such package, or cannot be reached (`unreachable`)."""

    def __init__(self, message: str, *, unreachable: bool) -> None:
        super().__init__(message)
        self.unreachable = unreachable


def say(line: str) -> None:
    """Print one line without buffering."""
    print(f"set-up: {line}", flush=True)


def check_surroundings(environ: Mapping[str, str]) -> None:
    """Raise SetUpError for problems that would otherwise show after all downloads."""
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        raise SetUpError("This Python has no module venv (Debian: apt-get install python3-venv).")
    if not _has_name(os.geteuid()) and "HEADRACE_DATABASE_URL" not in environ:
        raise SetUpError(
            f"User id {os.geteuid()} has no entry in /etc/passwd, and PostgreSQL does not start without one. Add an"
            " entry, run as another user, or set HEADRACE_DATABASE_URL to a database of your own."
        )
    if shutil.which(environ.get("CC", "cc")) is None:
        say("No C compiler was found. Packages without a build for this machine cannot be compiled.")


def _has_name(user_id: int) -> bool:
    try:
        pwd.getpwuid(user_id)
    except KeyError:
        return False
    return True


def has_gpu() -> bool:
    """Return whether this machine has an NVIDIA GPU and its driver."""
    return shutil.which("nvidia-smi") is not None or any(sign.exists() for sign in GPU_SIGNS)


def proxy_hint() -> str:
    """Return ` through the proxy <URL without password>`, or an empty string without a proxy."""
    proxies = getproxies()
    url = urlsplit(proxies.get("https") or proxies.get("http") or proxies.get("all") or "")
    return f" through the proxy {url.scheme}://{url.netloc.rpartition('@')[2]}" if url.netloc else ""


def readable_size(size_bytes: int) -> str:
    """Return for example `2.7 GB`, `191 MB`, `0 MB`."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
