"""The ingest's settings, read from `HEADRACE_*` at start and passed down. Refuses what would not be safe."""

import ipaddress
import os
import sys
from typing import Annotated, Literal

import msgspec

from ingest_service.transcript_formats.limits import CueLimits, MaxChars, MaxLines, MaxSeconds
from shared.settings import CommonSettings

GIB = 1 << 30
MOST_BY_DEFAULT = 16  # processes: they share the connections that Postgres allows


def usable_cores() -> int:
    """What this process may use of the machine, for as many processes."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores, MOST_BY_DEFAULT)


# Scheme, host and port as a browser sends them: small letters, no path, no slash at the end.
Origin = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9+.-]*://(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:[0-9]+)?$")]


class IngestSettings(CommonSettings, frozen=True, kw_only=True):
    """What the gatekeeper needs, besides what both services need."""

    host: str = "127.0.0.1"  # the address to listen on
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000  # 0: any free one
    auth: Literal["required", "none"] = "required"  # `none` is for a loopback address only
    ingest_processes: Annotated[int, msgspec.Meta(ge=1)] = usable_cores()  # that serve; 1: without a supervisor
    fsync: bool = False  # whether an upload waits until a local disk has its audio; Postgres decides for itself
    idempotency_hours: Annotated[float, msgspec.Meta(gt=0)] = 24.0  # that an answer is kept for its Idempotency-Key
    upload_expires_hours: Annotated[float, msgspec.Meta(gt=0)] = 24.0  # of a resumable upload, from its last part on
    metrics_dir: str = ""  # processes that are given the same folder count together; empty: each for itself
    min_free_bytes: Annotated[int, msgspec.Meta(ge=0)] = GIB  # below that on the store's disk, no upload is taken
    presigned_downloads: bool = False  # audio is fetched from the bucket itself, by a URL that is good for minutes
    cors_origins: tuple[Origin, ...] = ()  # whose pages may use the API from a browser
    subtitle_max_chars: MaxChars = 42  # of a line; full-width characters count double
    subtitle_max_lines: MaxLines = 2
    subtitle_max_seconds: MaxSeconds = 7.0  # that a cue is shown

    @property
    def cue_limits(self) -> CueLimits:
        """For subtitles of which the client says nothing else."""
        return CueLimits(
            max_chars=self.subtitle_max_chars,
            max_lines=self.subtitle_max_lines,
            max_seconds=self.subtitle_max_seconds,
        )

    def __post_init__(self) -> None:
        if self.auth == "required":
            raise ValueError(
                "HEADRACE_AUTH=required needs API keys, which this version does not have yet: "
                "set HEADRACE_AUTH=none and listen on a loopback address"
            )
        if not is_loopback(self.host):
            raise ValueError("HEADRACE_AUTH=none is for a loopback HEADRACE_HOST only, such as 127.0.0.1")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on that host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
