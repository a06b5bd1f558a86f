"""Downloads a file by HTTPS, as a stream, and verifies it."""

import hashlib
import http.client
import urllib.request
from collections.abc import Callable
from pathlib import Path

from processor_service.models.cache import ModelError

CONNECT_TIMEOUT_S = 5
COPY_BYTES = 1 << 20

Say = Callable[[str], None]


def download(url: str, target: Path, say: Say, *, sha256: str | None = None) -> None:
    """Write what lies at an address to a file; raises OSError when it cannot be had, ModelError when it is damaged."""
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT_S) as response, target.open("wb") as file:  # noqa: S310 - http(s) from the catalogue
            length = response.headers["Content-Length"]
            say(f"downloading {in_words(length)} from {url}")
            while piece := response.read(COPY_BYTES):
                digest.update(piece)
                file.write(piece)
    except http.client.HTTPException as error:
        raise OSError(f"{url} was cut short") from error
    if length is not None and target.stat().st_size != int(length):
        raise OSError(f"{url} was cut short")
    if sha256 is not None and digest.hexdigest() != sha256:
        raise ModelError(f"The download from {url} is damaged: its sha256 is not the published one. Try again.")


def in_words(length: str | int | None) -> str:
    """A number of bytes for people; None: the server does not say it."""
    if length is None:
        return "a file of unknown size"
    return f"{int(length) / 1e6:.0f} MB" if int(length) >= 1e6 else f"{max(1, round(int(length) / 1e3))} kB"
