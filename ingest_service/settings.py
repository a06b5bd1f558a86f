"""The ingest's settings, read from `HEADRACE_*` at start and passed down. Refuses what would not be safe."""

import ipaddress
import math
import os
import sys
from typing import Annotated, Literal

import msgspec

from ingest_service.quotas.quotas import Quotas
from ingest_service.quotas.rate_limiter import Policy
from ingest_service.subtitles.limits import CueLimits, MaxChars, MaxLines, MaxSeconds
from shared.settings import CommonSettings
from shared.telemetry.traces import why_untraceable

GIB = 1 << 30
MOST_BY_DEFAULT = 16  # processes: they share the connections that Postgres allows


def usable_cores() -> int:
    """What this process may use of the machine, for as many processes."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores, MOST_BY_DEFAULT)


# Scheme, host and port as a browser sends them: small letters, no path, no slash at the end.
Origin = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9+.-]*://(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:[0-9]+)?$")]


Quota = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
SmallQuota = Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)]


class IngestSettings(CommonSettings, frozen=True, kw_only=True):
    """What the gatekeeper needs, besides what both services need."""

    host: str = "127.0.0.1"  # the address to listen on
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000  # 0: any free one
    auth: Literal["required", "none"] = "none"  # that only on a loopback address; `required`: by API keys
    ingest_processes: Annotated[int, msgspec.Meta(ge=1)] = usable_cores()  # that serve; 1: without a supervisor
    fsync: bool = False  # whether an upload waits until a local disk has its audio; Postgres decides for itself
    idempotency_hours: Annotated[float, msgspec.Meta(gt=0)] = 24.0  # that an answer is kept for its Idempotency-Key
    upload_expires_hours: Annotated[float, msgspec.Meta(gt=0)] = 24.0  # of a resumable upload, from its last part on
    access_log_sample: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0  # of the requests that went well
    metrics_dir: str = ""  # processes that are given the same folder count together; empty: each for itself
    min_free_bytes: Annotated[int, msgspec.Meta(ge=0)] = GIB  # below that on the store's disk, no upload is taken
    presigned_uploads: bool = True  # clients may ask for a URL of the bucket to put audio at, if it has such
    presigned_downloads: bool = False  # audio is fetched from the bucket itself, by a URL that is good for minutes
    cors_origins: tuple[Origin, ...] = ()  # whose pages may use the API from a browser
    # What each tenant may use, unless `make limits` says otherwise for it; 0: there is no limit.
    quota_bytes_a_day: Quota = 0  # of audio handed in, in a day of UTC
    quota_audio_seconds_a_day: Quota = 0  # of audio decoded, in a day of UTC
    quota_jobs_queued: SmallQuota = 0  # whose work has not begun
    quota_uploads_at_once: SmallQuota = 0  # from a head to its answer
    rate_limit: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = (
        0.0  # requests a second of a key, or of all without one; 0: none
    )
    rate_burst: Annotated[int, msgspec.Meta(ge=0)] = 0  # requests at once after a pause; 0: as many as in a second
    subtitle_max_chars: MaxChars = 42  # of a line; full-width characters count double
    subtitle_max_lines: MaxLines = 2
    subtitle_max_seconds: MaxSeconds = 7.0  # that a cue is shown

    @property
    def quotas(self) -> Quotas:
        """Of tenants that have none of their own."""
        return Quotas(
            bytes_a_day=self.quota_bytes_a_day,
            audio_seconds_a_day=self.quota_audio_seconds_a_day,
            jobs_queued=self.quota_jobs_queued,
            uploads_at_once=self.quota_uploads_at_once,
        )

    @property
    def rate_policy(self) -> Policy | None:
        """How many requests are let in; None: all."""
        if not self.rate_limit:
            return None
        return Policy(self.rate_limit, self.rate_burst or max(1, math.ceil(self.rate_limit)))

    @property
    def cue_limits(self) -> CueLimits:
        """For subtitles of which the client says nothing else."""
        return CueLimits(
            max_chars=self.subtitle_max_chars,
            max_lines=self.subtitle_max_lines,
            max_seconds=self.subtitle_max_seconds,
        )

    def __post_init__(self) -> None:
        if problem := self.why_unreachable() or why_untraceable(self.otlp_url):
            raise ValueError(problem)
        if self.auth == "none" and not is_loopback(self.host):
            raise ValueError(
                "HEADRACE_AUTH=none is for a loopback HEADRACE_HOST only, such as 127.0.0.1: "
                "set HEADRACE_AUTH=required to listen elsewhere"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on that host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
