"""The ingest's settings, read from `HEADRACE_*` at start and passed down. Unsafe combinations are refused."""

import ipaddress
import math
import os
import sys
from typing import Annotated, Literal

import msgspec

from ingest_service.job_queues import JobQueues, ModelQueue, queues_of_models
from ingest_service.openai_api.models import ModelAlias
from ingest_service.quotas.quota_usage import Quotas
from ingest_service.quotas.rate_limiter import Policy
from shared.connections.postgres import why_no_database
from shared.queue.dispatch import DEFAULT_QUEUE_NAME
from shared.schemas.options import QueueName
from shared.secret import Secret
from shared.settings import CommonSettings
from shared.subtitles.cue_size import CueSize, MaxChars, MaxLines, MaxSeconds
from shared.telemetry.traces import why_no_tracing

KEYS_AT_FULL_RATE = 10  # of one tenant, unless it has a rate limit of its own
MAX_DEFAULT_PROCESSES = 16  # they share the connections that Postgres allows


def usable_cores() -> int:
    """Return the number of cores that this process may use: the default number of processes."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores, MAX_DEFAULT_PROCESSES)


# Scheme, host and port as a browser sends them: lower case, no path, no slash at the end.
Origin = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z][a-z0-9+.-]*://(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:[0-9]+)?$(?!\n)",
        description="an origin as browsers send it: scheme, host and port in lower case, such as "
        "https://app.example.com or http://localhost:3000. There is no wildcard",
    ),
]

# A name or an address as a `Host` header has it, without the port; an IPv6 address without brackets.
HostName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([a-z0-9_-][a-z0-9._-]*|[0-9a-f:]+)$(?!\n)",
        description="a host name or address in lower case, without port and brackets, such as headrace.example.com",
    ),
]


Quota = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Bound = Annotated[int, msgspec.Meta(ge=1, le=(1 << 31) - 1)]
SmallQuota = Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)]


class IngestSettings(CommonSettings, frozen=True, kw_only=True):
    """The ingest's own settings, in addition to those of both services."""

    database_replica_url: Secret = Secret("")  # a streaming replica for clients' reads; empty: none
    host: str = "127.0.0.1"  # the address to listen on
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000  # 0: any free port
    auth: Literal["required", "none"] = "none"  # `none`: no API keys, on a loopback address only
    allowed_hosts: tuple[HostName, ...] = ()  # with auth `none`: names in `Host` besides loopback, as of a proxy
    ingest_processes: Annotated[int, msgspec.Meta(ge=1)] = usable_cores()  # serving processes; 1: without a supervisor
    fsync: bool = False  # sync the audio to a local disk before the answer; Postgres has its own setting
    idempotency_hours: Annotated[float, msgspec.Meta(gt=0)] = 24.0  # how long an answer is kept for its Idempotency-Key
    attach_s: Annotated[float, msgspec.Meta(ge=0)] = (
        600.0  # a repeat gets the job of an equal request so long after its end
    )
    upload_expires_hours: Annotated[float, msgspec.Meta(gt=0)] = 24.0  # of a resumable upload, from its last part
    access_log_sample: Annotated[float, msgspec.Meta(ge=0, le=1)] = (
        1.0  # the fraction of successful requests that is logged
    )
    metrics_dir: str = ""  # processes with the same folder add up their metrics; empty: each process counts alone
    presigned_uploads: bool = True  # clients may get presigned URLs to upload to the bucket, if it supports them
    presigned_downloads: bool = False  # redirect audio downloads to a presigned URL of the bucket, valid for minutes
    asr_routes: bool = False  # also answer POST /asr and /detect-language, as whisper-asr-webservice does
    console: bool = True  # serve the console, a page, at `/`
    cors_origins: tuple[Origin, ...] = ()  # origins whose pages may use the API from a browser
    # Each tenant's quotas, unless `make limits` set its own; 0: unlimited.
    quota_bytes_a_day: Quota = 0  # of audio uploaded, a day in UTC
    quota_audio_seconds_a_day: Quota = 0  # of audio decoded, a day in UTC
    quota_jobs_queued: SmallQuota = 0  # jobs that have not started
    quota_uploads_at_once: SmallQuota = 0  # concurrent uploads, each from its head to its answer
    rate_limit: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = (
        0.0  # requests a second of a key, or of the tenant without keys; 0: unlimited
    )
    rate_burst: Annotated[int, msgspec.Meta(ge=0)] = 0  # requests at once after a pause; 0: the requests of one second
    tenant_rate_limit: Annotated[float, msgspec.Meta(ge=0, le=1e9)] = (
        0.0  # requests a second of all keys of a tenant; 0: ten times `rate_limit`
    )
    # Bounds on what is held open or kept. Those of connections and event streams count for each process.
    max_connections: Bound = 16_384  # and never more than the limit of open files allows
    max_connections_of_address: Bound = 12_288  # a reverse proxy is one address
    max_event_streams: Bound = 10_000
    max_event_streams_of_tenant: Bound = 5_000
    max_event_streams_of_key: Bound = 2_500
    hang_up_grace_s: Annotated[float, msgspec.Meta(ge=0)] = (
        30.0  # a job made for a waiting request is cancelled so long after the last of these disconnected
    )
    max_open_uploads: Bound = 1_000  # of a tenant: resumable and presigned uploads that are not jobs yet
    max_upload_parts: Bound = 10_000  # of a resumable upload; each request adds one, and a long one every 64 MiB
    max_ended_uploads: Bound = 20_000  # of a tenant: expired and terminated uploads, which are kept for days
    unread_answer_bytes: Annotated[int, msgspec.Meta(ge=0)] = (
        32 << 20  # of large answers that clients have not read yet, in each serving process
    )
    renders_at_once: Annotated[int, msgspec.Meta(ge=1, le=64)] = (
        2  # long transcripts that one serving process renders as text at a time, one of each tenant
    )
    render_cache_bytes: Annotated[int, msgspec.Meta(ge=0)] = 16 << 20  # of rendered text, in each serving process
    model_aliases: tuple[ModelAlias, ...] = ()  # for OpenAI's clients, added to the usual ones: name=model[+diarize]
    queue_names: tuple[QueueName, ...] = ()  # that jobs may name, besides `default`; processors serve HEADRACE_QUEUES
    model_queues: tuple[ModelQueue, ...] = ()  # of jobs whose tenant has no queue of its own: model=queue
    wait_max_s: Annotated[float, msgspec.Meta(gt=0)] = (
        3600.0  # the longest time that a request to OpenAI's API or `/asr` waits for its job
    )
    subtitle_max_chars: MaxChars = 42  # of a line; full-width characters count as two
    subtitle_max_lines: MaxLines = 2
    subtitle_max_seconds: MaxSeconds = 7.0  # the longest time that a cue is shown

    @property
    def quotas(self) -> Quotas:
        """Return the quotas of tenants without their own."""
        return Quotas(**{name: getattr(self, f"quota_{name}") for name in Quotas.__struct_fields__})

    @property
    def job_queues(self) -> JobQueues:
        """Return the queues of jobs."""
        return JobQueues(names=self.queue_names, of_models=queues_of_models(self.model_queues))

    @property
    def rate_policy(self) -> Policy | None:
        """Return the rate limit; None: unlimited."""
        if not self.rate_limit:
            return None
        return Policy(self.rate_limit, self.rate_burst or max(1, math.ceil(self.rate_limit)))

    @property
    def tenant_rate_policy(self) -> Policy | None:
        """Return the rate limit of all keys of a tenant together; None: unlimited."""
        own = self.rate_policy
        rate = self.tenant_rate_limit or self.rate_limit * KEYS_AT_FULL_RATE
        if not rate:
            return None
        burst = own.burst * KEYS_AT_FULL_RATE if own and not self.tenant_rate_limit else math.ceil(rate)
        return Policy(rate, max(1, burst))

    @property
    def cue_size(self) -> CueSize:
        """Return the default size of subtitle cues."""
        return CueSize(
            max_chars=self.subtitle_max_chars,
            max_lines=self.subtitle_max_lines,
            max_seconds=self.subtitle_max_seconds,
        )

    def __post_init__(self) -> None:
        why_no_replica = why_no_database("HEADRACE_DATABASE_REPLICA_URL", self.database_replica_url.reveal())
        if (
            problem := self.why_unreachable()
            or self.why_unusable()
            or why_no_replica
            or why_no_tracing(self.otlp_url.reveal())
        ):
            raise ValueError(problem)
        if self.auth == "none" and not is_loopback(self.host):
            raise ValueError(
                "HEADRACE_AUTH=none requires a loopback HEADRACE_HOST such as 127.0.0.1; "
                "set HEADRACE_AUTH=required to listen on other addresses"
            )
        if unknown := sorted(set(self.job_queues.of_models.values()) - {DEFAULT_QUEUE_NAME, *self.queue_names}):
            raise ValueError(
                f"HEADRACE_MODEL_QUEUES names queues that HEADRACE_QUEUE_NAMES lacks: {', '.join(unknown)}"
            )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a listener on the host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
