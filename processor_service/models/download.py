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
    say(f"downloading {url}")
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(url, timeout=CONNECT_TIMEOUT_S) as response, target.open("wb") as file:  # noqa: S310 - http(s) from the catalogue
            while piece := response.read(COPY_BYTES):
                digest.update(piece)
                file.write(piece)
            length = response.headers["Content-Length"]
    except http.client.HTTPException as error:
        raise OSError(f"{url} was cut short") from error
    if length is not None and target.stat().st_size != int(length):
        raise OSError(f"{url} was cut short")
    if sha256 is not None and digest.hexdigest() != sha256:
        raise ModelError(f"The download from {url} is damaged: its sha256 is not the published one. Try again.")
